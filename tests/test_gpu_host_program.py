"""The constants file of ``dump --constants``, and the C++ host program that reads it.

The program runs against a driver of ours, ``fake_cuda.cpp``, which says what it was asked for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from cli_cases import NET, saved
from nets import dense, tables

import instjit as ij
from instjit.cli import main
from instjit.gpu.constants_file import MAGIC, Header
from instjit.gpu.kernel import CudaKernel

TESTS = Path(__file__).parent
MAIN = TESTS.parent / "examples" / "cuda_host" / "main.cpp"
FIELDS = len(Header.__slots__)

KERNELS = {
    "thread": lambda: CudaKernel(dense(4, 6, 3)),
    "thread with integers": lambda: CudaKernel(tables(), form="thread"),
    "block": lambda: CudaKernel(dense(20, 64, 32, 1)),
    "block, global scratch": lambda: CudaKernel(dense(10, 3000, 10)),
    "block of more than 99 KB": lambda: CudaKernel(dense(250, 300, 200)),
}


def header(content: bytes) -> Header:
    """The integers of a constants file."""
    start = len(MAGIC)
    return Header(*np.frombuffer(content[start : start + 8 * FIELDS], "<i8").tolist())


@pytest.mark.parametrize("name", KERNELS)
def test_the_constants_file_says_how_to_launch_and_holds_k_and_n(name) -> None:
    kernel = KERNELS[name]()
    content = kernel.dump_constants()
    assert content.startswith(MAGIC)
    head = header(content)
    assert (head.input_size, head.output_size) == (kernel.input_size, kernel.output_size)
    assert (head.floats, head.integers) == (len(kernel.k), len(kernel.n))
    assert content[len(MAGIC) + 8 * FIELDS :] == kernel.k.tobytes() + kernel.n.tobytes()


@pytest.mark.parametrize(
    ("name", "launch"),
    [
        ("thread", (128, 128, 1, 320, 0, 0)),
        ("block", (128, 32, 8, 69440, 0, 1)),
        ("block, global scratch", (32, 32, 8, 79264, 108360, 1)),
    ],
)
def test_the_header_is_the_forms_launch(name, launch) -> None:
    head = header(KERNELS[name]().dump_constants())
    found = (head.rows, head.threads_x, head.threads_y, head.shared_bytes)
    assert (*found, head.scratch_floats, head.takes_scratch) == launch


def test_portable_leaves_the_shared_memory_at_what_all_devices_have() -> None:
    kernel = KERNELS["block of more than 99 KB"]()
    sizes = {
        (cc, portable): header(kernel.dump_constants(cc, portable)).shared_bytes > 99 * 1024
        for cc in ((8, 0), (8, 6), (9, 0))
        for portable in (False, True)
    }
    assert [each for each, more in sizes.items() if more] == [((8, 0), False), ((9, 0), False)]


@pytest.fixture
def _ptx(monkeypatch) -> None:
    monkeypatch.setattr(CudaKernel, "dump", lambda self, form, cc, portable: f"{form} for {cc}\n")


@pytest.mark.usefixtures("_ptx")
def test_dump_writes_the_constants_beside_the_ptx(tmp_path, capsys) -> None:
    path = tmp_path / "net.bin"
    words = ["dump", saved(tmp_path), "--target", "ptx", "--constants", str(path)]
    assert main(words) == 0
    assert capsys.readouterr() == ("ptx for (9, 0)\n", "")
    assert path.read_bytes() == ij.compile(NET, target="cuda").dump_constants()
    assert main(words) == 2
    assert "--force replaces it" in capsys.readouterr().err
    path.write_bytes(b"old")
    assert main([*words, "--force", "-o", str(tmp_path / "k.ptx")]) == 0
    assert path.read_bytes().startswith(MAGIC)
    assert (tmp_path / "k.ptx").read_text() == "ptx for (9, 0)\n"


@pytest.mark.usefixtures("_ptx")
def test_dump_takes_portable(tmp_path) -> None:
    model = dense(250, 300, 200)
    ij.save(model, str(tmp_path / "net.json"))
    words = ["dump", str(tmp_path / "net.json"), "--target", "ptx", "-o", str(tmp_path / "k.ptx")]
    found = []
    for number, more in enumerate(([], ["--portable"])):
        path = tmp_path / f"{number}.bin"
        assert main([*words, "--constants", str(path), "--force", *more]) == 0
        found.append(header(path.read_bytes()).shared_bytes)
    kernel = CudaKernel(model)
    assert found == [header(kernel.dump_constants((9, 0), p)).shared_bytes for p in (False, True)]
    assert found[1] <= 99 * 1024 < found[0]


@pytest.mark.usefixtures("_ptx")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "cuda-source", "--constants", "new.bin"], "--constants is for --target ptx"),
        (["--target", "cuda-source", "--portable"], "--portable is for --target ptx"),
        (["--target", "ptx", "--constants", "-"], "takes a file"),
        (["--target", "ptx", "--constants", "new", "-o", "new"], "same file as --constants"),
        (["--target", "ptx", "--constants", "net.json", "--force"], "same file as MODEL"),
    ],
)
def test_constants_that_go_nowhere_are_refused(tmp_path, monkeypatch, capsys, words, said) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path)
    assert main(["dump", "net.json", *words]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["net.json"]


def includes() -> str | None:
    """The folder of cuda.h."""
    packages = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/*/include"))
    homes = [os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    places = [*(Path(home) / "include" for home in homes if home), *packages]
    return next((str(place) for place in places if (place / "cuda.h").is_file()), None)


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> str:
    """The program, linked with the driver of the tests."""
    compiler, folder = shutil.which("g++") or shutil.which("clang++"), includes()
    if not compiler or not folder:
        pytest.skip("no C++ compiler or no cuda.h")
    place = tmp_path_factory.mktemp("host")
    common = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    common += ["-isystem", folder]
    driver = [str(TESTS / "fake_cuda.cpp"), "-shared", "-fPIC", "-o", str(place / "libcuda.so")]
    program = [str(MAIN), "-o", str(place / "host"), f"-L{place}", "-lcuda", f"-Wl,-rpath,{place}"]
    for words in (driver, program):
        built = subprocess.run([*common, *words], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
    return str(place / "host")


def launched(host: str, folder: Path, kernel: CudaKernel, rows: np.ndarray, **environment: str):
    """The program's end, and what it wrote."""
    (folder / "k.ptx").write_text("some text")
    (folder / "k.bin").write_bytes(kernel.dump_constants())
    rows.astype("<f4").tofile(folder / "x.f32")
    end = subprocess.run(
        [host, "k.ptx", "k.bin", "x.f32", "y.f32"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    return end, folder / "y.f32"


@pytest.mark.parametrize(
    ("name", "rows", "launch"),
    [
        ("thread", 300, "grid 3 block 128 1 shared 320 rows 300 k {k} n {n} scratch 0 0"),
        ("thread", 10_000, "grid 48 block 128 1 shared 320 rows 10000 k {k} n {n} scratch 0 0"),
        ("block", 129, "grid 2 block 32 8 shared 69440 rows 129 k {k} n {n} scratch 0 1"),
        (
            "block, global scratch", 1000,
            "grid 6 block 32 8 shared 79264 rows 1000 k {k} n {n} scratch 650160 1",
        ),
    ],
)  # fmt: skip
def test_the_host_program_launches_the_form(host, tmp_path, name, rows, launch) -> None:
    kernel = KERNELS[name]()
    x = np.random.default_rng(rows).normal(size=(rows, kernel.input_size)).astype(np.float32)
    end, path = launched(host, tmp_path, kernel, x)
    assert end.returncode == 0, end.stderr
    allowed = header(kernel.dump_constants()).shared_bytes
    launch = launch.format(k=len(kernel.k), n=len(kernel.n))
    said = ["image 9", f"allowed {allowed}", f"instjit_rows {launch}", "arrays left 0"]
    assert end.stderr.splitlines() == said
    wanted = np.resize(x, rows * kernel.output_size) + kernel.k[0]
    assert np.array_equal(np.fromfile(path, "<f4"), wanted)


def test_the_host_program_takes_no_rows(host, tmp_path) -> None:
    end, path = launched(host, tmp_path, KERNELS["thread"](), np.empty((0, 4)))
    assert end.returncode == 0
    assert path.read_bytes() == b""


@pytest.mark.parametrize("call", ["cuInit", "cuModuleLoadData", "cuMemAlloc", "cuLaunchKernel"])
def test_the_host_program_says_which_call_fails(host, tmp_path, call) -> None:
    rows = np.ones((3, 4))
    end, path = launched(host, tmp_path, KERNELS["thread"](), rows, FAKE_CUDA_FAILS=call)
    assert end.returncode == 4
    assert f"{call}: CUDA_ERROR_NO_DEVICE" in end.stderr
    assert not path.exists()


@pytest.mark.parametrize(("name", "hint"), [("thread", False), ("block of more than 99 KB", True)])
def test_the_host_program_says_what_ptx_of_more_shared_memory_is_for(
    host, tmp_path, name, hint
) -> None:
    kernel = KERNELS[name]()
    rows = np.ones((3, kernel.input_size))
    end, _ = launched(host, tmp_path, kernel, rows, FAKE_CUDA_FAILS="cuFuncSetAttribute")
    size = header(kernel.dump_constants()).shared_bytes
    assert end.returncode == 4
    assert f"cuFuncSetAttribute: {size} bytes of shared memory" in end.stderr
    assert ("instjit dump --portable takes less" in end.stderr) == hint


def test_the_host_program_refuses_files_that_do_not_fit(host, tmp_path) -> None:
    end, _ = launched(host, tmp_path, KERNELS["thread"](), np.ones(7))
    assert (end.returncode, "not whole rows of 4" in end.stderr) == (3, True)
    whole = KERNELS["thread"]().dump_constants()
    for content in (b"", whole[:50], whole[:-1], b"X" + whole[1:]):
        (tmp_path / "k.bin").write_bytes(content)
        words = [host, "k.ptx", "k.bin", "x.f32", "y.f32"]
        assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode == 3
    assert subprocess.run([host], capture_output=True).returncode == 2
