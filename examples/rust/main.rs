//! Handwritten digits recognised by a net in a C library, linked by its name; std alone.

use std::ffi::{c_char, c_void, CStr};
use std::{env, fs, mem, process, ptr};

#[repr(C)]
struct Info {
    size: u64,
    input_size: u64,
    output_size: u64,
    row_scratch_bytes: u64,
    batch_scratch_bytes: u64,
    scratch_alignment: u64,
}

#[link(name = "digits")]
extern "C" {
    fn digits_is_compatible(api_version: u32) -> i32;
    fn digits_status_string(status: i32) -> *const c_char;
    fn digits_create(bytes: *const c_void, length: usize, options: *const c_void, model: *mut *mut c_void) -> i32;
    fn digits_info(model: *const c_void, info: *mut Info) -> i32;
    fn digits_run_batch(
        model: *const c_void, rows: u64, x: *const f32, x_size: usize, y: *mut f32, y_size: usize,
        scratch: *mut c_void, scratch_bytes: usize,
    ) -> i32;
    fn digits_destroy(model: *mut c_void) -> i32;
}

/// The model; any number of threads may run it at once, each with its own scratch.
struct Model {
    handle: *mut c_void,
    info: Info,
}

unsafe impl Send for Model {}
unsafe impl Sync for Model {}

fn checked(status: i32) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    let sentence = unsafe { CStr::from_ptr(digits_status_string(status)) };
    Err(sentence.to_string_lossy().into_owned())
}

impl Model {
    fn new() -> Result<Model, String> {
        if unsafe { digits_is_compatible(1) } == 0 {
            return Err("the library has another version of the interface".into());
        }
        let mut handle = ptr::null_mut();
        checked(unsafe { digits_create(ptr::null(), 0, ptr::null(), &mut handle) })?;
        let mut info: Info = unsafe { mem::zeroed() };
        info.size = mem::size_of::<Info>() as u64;
        let mut model = Model { handle, info };
        checked(unsafe { digits_info(handle, &mut model.info) })?;
        Ok(model)
    }

    fn run(&self, x: &[f32]) -> Result<Vec<f32>, String> {
        let rows = x.len() / self.info.input_size as usize;
        let mut y = vec![0.0; rows * self.info.output_size as usize];
        let bytes = self.info.batch_scratch_bytes as usize;
        let mut memory = vec![0u8; bytes + self.info.scratch_alignment as usize];
        let start = memory.as_ptr().align_offset(self.info.scratch_alignment as usize);
        let scratch = memory[start..].as_mut_ptr() as *mut c_void;
        checked(unsafe {
            digits_run_batch(self.handle, rows as u64, x.as_ptr(), x.len(), y.as_mut_ptr(), y.len(), scratch, bytes)
        })?;
        Ok(y)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        unsafe { digits_destroy(self.handle) };
    }
}

fn numbers(path: &str) -> Result<Vec<f32>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let cells = text.lines().skip(1).flat_map(|line| line.split(','));
    cells.map(|cell| cell.trim().parse().map_err(|_| format!("{path}: {cell:?} is no number"))).collect()
}

fn counted(rows: &str, labels: &str) -> Result<(usize, usize), String> {
    let model = Model::new()?;
    let y = model.run(&numbers(rows)?)?;
    let labels = numbers(labels)?;
    let best = |row: &[f32]| (0..row.len()).reduce(|a, b| if row[b] > row[a] { b } else { a });
    let found = y.chunks(model.info.output_size as usize).map(best);
    let right = found.zip(&labels).filter(|(found, label)| *found == Some(**label as usize)).count();
    Ok((right, labels.len()))
}

fn main() {
    let words: Vec<String> = env::args().collect();
    if words.len() != 3 {
        eprintln!("digits ROWS.csv LABELS.csv");
        process::exit(2);
    }
    match counted(&words[1], &words[2]) {
        Ok((right, all)) => println!("{right} of {all} digits are right"),
        Err(problem) => {
            eprintln!("{problem}");
            process::exit(1);
        }
    }
}
