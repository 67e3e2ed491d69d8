"""The call surface of a kernel: what goes in, where it comes out, what is refused and how."""

from __future__ import annotations

import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numba
import numpy as np
import pytest
from numba.core import event
from plain_run import buffers_after, same_bits

import instjit as ij
from instjit import launch, reference
from instjit.counted import shown
from instjit.passes import drop_dead, fuse

ROWS = 100


@contextmanager
def no_compilation():
    with event.install_recorder("numba:compile") as recorder:
        yield
    assert [text for _, text in recorder.buffer] == []


def a_net(seed: int = 0) -> ij.Model:
    """Two input buffers of 2 and 1, a hidden layer, a buffer nobody writes, an output of 4."""
    rng = np.random.default_rng(seed)
    return ij.Model(
        [2, 1, 5, 2, 4],
        [ij.Dot(0, 2, 0, "TANH"), ij.AddBufferHeads((2, 1), 2), ij.Dot(2, 4, 1, "SIGMOID")],
        [rng.normal(size=(5, 2)), rng.normal(size=(4, 5))],
        [rng.normal(size=5), rng.normal(size=4)],
        features=["age", "income", "rate"],
    )


@pytest.fixture(scope="module")
def kernel():
    return ij.compile(a_net(), warm=("row", "slots", "buffer"))


@pytest.fixture(scope="module")
def square():
    """As many outputs as inputs: it can run in place."""
    weights = np.random.default_rng(1).normal(size=(3, 3))
    return ij.compile(ij.Model([3, 3], [ij.Dot(0, 1, 0)], [weights], feature_size=3))


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(2).normal(size=(ROWS, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def wanted(kernel, rows):
    return np.ascontiguousarray(reference.run(kernel.model, rows))


def read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


def unaligned(x):
    raw = bytearray(x.nbytes + 1)
    view = np.frombuffer(raw, np.float32, offset=1, count=x.size).reshape(x.shape)
    view[...] = x
    assert not view.flags.aligned
    return view


INPUTS = {
    "float32": lambda x: x,
    "read-only": read_only,
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16),
    "integers": lambda x: np.rint(x).astype(np.int64),
    "bool": lambda x: x > 0,
    "Fortran order": np.asfortranarray,
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every second column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed": lambda x: x[::-1],
    "big-endian": lambda x: x.astype(">f4"),
    "unaligned": unaligned,
    "nested lists": lambda x: x.tolist(),
    "list of tuples": lambda x: [tuple(row) for row in x],
    "list of rows": list,
    "objects": lambda x: x.astype(object),
}


# -- what goes in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INPUTS)
def test_any_kind_of_rows_is_taken_and_compiles_nothing(name, kernel, rows) -> None:
    given = INPUTS[name](rows)
    before = np.array(given, copy=True)
    with no_compilation():
        result = kernel.predict(given)
        alone = kernel.row(given[3])
    wanted = reference.run(kernel.model, np.asarray(given, np.float32))
    assert same_bits(result, wanted)
    assert same_bits(alone, wanted[3])
    assert (np.asarray(given) == before).all()


def test_one_array_for_each_input_buffer_is_taken(kernel, rows, wanted) -> None:
    assert same_bits(kernel.predict([rows[:, :2], rows[:, 2:].astype(np.float64)]), wanted)


def test_a_kernel_is_called_like_a_function(kernel, rows, wanted) -> None:
    assert same_bits(kernel(rows), wanted)


def test_single_is_the_last_output_of_the_row(kernel, rows, wanted) -> None:
    value = kernel.single(rows[7])
    assert isinstance(value, float)
    assert value == wanted[7, -1]


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (np.zeros((4, 7)), "ValidationInputSizeMismatch",
         "X has 7 columns, the model takes 3: age, income, rate"),
        (np.zeros((4, 1)), "ValidationInputSizeMismatch", "X has 1 column, the model takes 3"),
        (np.zeros(3), "InputShape",
         "X has 1 dimension, expected rows x 3; for one row: row(x), or X.reshape(1, 3)"),
        (np.zeros((1, 1, 3)), "InputShape", "X has 3 dimensions, expected rows x 3"),
        (np.float32(1), "InputShape", "X has 0 dimensions, expected rows x 3"),
        ([[1, 2, 3], [4]], "InputShape", "X must be rows of numbers of equal length"),
        ([["a", "b", "c"]], "InputType", "X must be rows of numbers of equal length"),
        ([np.zeros((2, 2))], "InputOutputCountMismatch", "X holds 1 arrays, the model takes 2"),
    ],
)  # fmt: skip
def test_rows_of_another_shape_are_refused(given, kind, message, kernel) -> None:
    with pytest.raises(ij.InputError, match=re.escape(message)) as caught:
        kernel.predict(given)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (np.zeros(4, np.float32), "ValidationInputSizeMismatch",
         "x has 4 columns, the model takes 3: age, income, rate"),
        (np.zeros(0, np.float32), "ValidationInputSizeMismatch", "x has 0 columns"),
        (np.zeros((1, 3), np.float32), "InputShape",
         "x has 2 dimensions, expected one of 3; for rows: predict(X)"),
        (5.0, "InputShape", "x has 0 dimensions"),
        (["a", "b", "c"], "InputType", "x must be a row of numbers, got"),
    ],
)  # fmt: skip
def test_a_row_of_another_shape_is_refused(given, kind, message, kernel) -> None:
    with pytest.raises(ij.InputError, match=re.escape(message)) as caught:
        kernel.row(given)
    assert caught.value.kind == kind


# -- where it comes out ----------------------------------------------------------------------------


def test_results_are_new_c_contiguous_float32_arrays(kernel, rows) -> None:
    for result in (kernel.predict(rows), kernel.predict(rows, slots=(1, 9)), kernel.row(rows[0])):
        assert result.dtype == np.float32
        assert result.flags.carray
        assert result.flags.owndata


def test_out_is_filled_and_returned(kernel, rows, wanted, tmp_path) -> None:
    mapped = np.memmap(tmp_path / "out", np.float32, "w+", shape=wanted.shape)
    for out in (np.empty_like(wanted), mapped):
        assert kernel.predict(rows, out=out) is out
        assert same_bits(out, wanted)
    line = np.empty(4, np.float32)
    assert kernel.row(rows[5], out=line) is line
    assert same_bits(line, wanted[5])
    part = np.empty((ROWS, 4), np.float32)
    assert kernel.predict(rows, slots=(10, 14), out=part) is part
    assert same_bits(part, wanted)


BAD_OUTS = {
    "shape": lambda: np.empty((ROWS, 5), np.float32),
    "rows": lambda: np.empty((ROWS + 1, 4), np.float32),
    "dimensions": lambda: np.empty(ROWS * 4, np.float32),
    "dtype": lambda: np.empty((ROWS, 4), np.float64),
    "byte order": lambda: np.empty((ROWS, 4), ">f4"),
    "Fortran order": lambda: np.empty((ROWS, 4), np.float32, order="F"),
    "strides": lambda: np.empty((ROWS, 8), np.float32)[:, ::2],
    "read-only": lambda: read_only(np.empty((ROWS, 4), np.float32)),
    "unaligned": lambda: unaligned(np.empty((ROWS, 4), np.float32)),
    "list": lambda: [[0.0] * 4] * ROWS,
}


@pytest.mark.parametrize("name", BAD_OUTS)
def test_an_out_that_cannot_be_written_in_place_is_refused(name, kernel, rows) -> None:
    wanted = re.escape(
        f"out must be a writable C-contiguous float32 array of shape ({ROWS}, 4), got "
    )
    with pytest.raises(ij.InputError, match=wanted) as caught:
        kernel.predict(rows, out=BAD_OUTS[name]())
    assert caught.value.kind == "OutputMismatch"


@pytest.mark.parametrize(
    "out",
    [
        np.empty(5, np.float32),
        np.empty((1, 4), np.float32),
        np.empty(4),
        np.empty(8, np.float32)[::2],
        read_only(np.empty(4, np.float32)),
        [0.0] * 4,
    ],
    ids=["size", "dimensions", "dtype", "strides", "read-only", "list"],
)
def test_a_row_does_not_write_to_an_unfit_out(out, kernel, rows) -> None:
    for x in (rows[0], rows[0].tolist()):
        with pytest.raises(ij.InputError, match="out must be a writable C-contiguous float32") as e:
            kernel.row(x, out=out)
        assert e.value.kind == "OutputMismatch"


@pytest.mark.parametrize("count", [1, 5, 32, 33, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_may_be_overwritten_by_its_result(count, threads, square, monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    rows = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
    wanted = square.predict(rows)
    assert square.predict(rows, out=rows, threads=threads) is rows
    assert same_bits(rows, wanted)


@pytest.mark.parametrize("shift", [1, 3, 40, -2, -40])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_result_may_share_part_of_the_memory_of_its_rows(
    shift, threads, square, monkeypatch
) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    memory = np.random.default_rng(4).normal(size=200 * 3).astype(np.float32)
    rows = memory[150:450].reshape(100, 3)
    wanted = square.predict(rows)
    out = memory[150 + shift : 450 + shift].reshape(100, 3)
    assert same_bits(square.predict(rows, out=out, threads=threads), wanted)


def test_a_row_may_be_overwritten_by_its_result(square) -> None:
    line = np.array([1, 2, 3], np.float32)
    wanted = square.row(line)
    assert same_bits(square.row(line, out=line), wanted)


def test_a_wide_result_may_lie_over_its_rows(kernel, rows, wanted) -> None:
    memory = np.zeros(ROWS * 4, np.float32)
    held = memory[: ROWS * 3].reshape(ROWS, 3)
    held[:] = rows
    assert same_bits(kernel.predict(held, out=memory.reshape(ROWS, 4)), wanted)


# -- threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, -1, True, False, "2", 2.0])
def test_threads_must_be_a_positive_whole_number(threads, kernel, rows) -> None:
    buffer = np.zeros((1, kernel.required_memory), np.float32)
    for call in (
        lambda: kernel.predict(rows, threads=threads),
        lambda: kernel.predict(rows[:0], threads=threads),
        lambda: kernel.run_buffer(buffer, threads=threads),
        lambda: ij.compile(kernel.model, threads=threads),
    ):
        with pytest.raises(ij.InputError, match="threads must be a whole number") as caught:
            call()
        assert caught.value.kind == "InvalidThreadCount"
        assert caught.value.fields == {"count": threads}


@pytest.mark.parametrize("threads", [1, 2, 1000])
def test_numbas_thread_count_is_as_before(threads, kernel, rows, wanted, monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    numba.set_num_threads(1)
    try:
        assert same_bits(kernel.predict(rows, threads=threads), wanted)
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


def test_a_kernel_may_be_used_by_several_threads_at_once(kernel, rows, wanted, monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)

    def call(number: int) -> bool:
        return same_bits(kernel.predict(rows, threads=1 + number % 2), wanted) and same_bits(
            kernel.row(rows[number % ROWS]), wanted[number % ROWS]
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(8 * 50)))


def test_several_threads_may_need_the_same_compilation_first(rows) -> None:
    model = ij.Model([3, 2], [ij.Dot(0, 1, 0, "SOFTPLUS")], [np.ones((2, 3))], feature_size=3)
    kernel = ij.compile(model)
    wanted = reference.run_buffers(model, rows)
    with event.install_recorder("numba:compile") as recorder, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: kernel.predict(rows, slots=(0, 5)), range(8)))
    assert all(same_bits(result, wanted) for result in results)
    starts = [compilation for _, compilation in recorder.buffer if compilation.is_start]
    assert len(starts) == 1


# -- slots and flat buffers ------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [(0, 14), (0, 1), (13, 14), (3, 8), (8, 10), (2, 12)])
def test_slots_choose_columns_of_the_flat_buffer(slots, kernel, rows) -> None:
    whole = reference.run_buffers(kernel.model, rows)
    for count in (0, 1, 33, ROWS):
        got = kernel.predict(rows[:count], slots=slots)
        assert same_bits(got, whole[:count, slots[0] : slots[1]])


@pytest.mark.parametrize(
    ("slots", "kind", "fields"),
    [
        ((3, 3), "InvalidSliceRange", {"start": 3, "end": 3}),
        ((5, 2), "InvalidSliceRange", {"start": 5, "end": 2}),
        ((-1, 2), "InvalidSliceRange", {"start": -1, "end": 2}),
        ((0, 15), "SliceRangeOutOfBounds", {"start": 0, "end": 15, "buffer_size": 14}),
        ((20, 30), "SliceRangeOutOfBounds", {"start": 20, "end": 30, "buffer_size": 14}),
    ],
)
@pytest.mark.parametrize("count", [0, 5])
def test_slots_outside_the_flat_buffer_are_refused(
    slots, kind, fields, count, kernel, rows
) -> None:
    with pytest.raises(ij.InputError) as caught:
        kernel.predict(rows[:count], slots=slots)
    assert (caught.value.kind, caught.value.fields) == (kind, fields)


@pytest.mark.parametrize(
    "slots", [5, (1, 2, 3), (0.5, 2), ("a", "b"), (), (0, True), (np.False_, 2)]
)
def test_slots_must_be_a_pair_of_whole_numbers(slots, kernel, rows) -> None:
    with pytest.raises(ij.InputError, match=r"slots must be \(start, stop\)") as caught:
        kernel.predict(rows, slots=slots)
    assert caught.value.kind == "InvalidSliceRange"


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 100])
@pytest.mark.parametrize("threads", [1, 2])
def test_flat_buffers_keep_what_nothing_writes(count, threads, kernel, rows, monkeypatch) -> None:
    monkeypatch.setattr(launch, "PARALLEL_SECONDS", 0.0)
    flat = np.full((count, 14), 7.5, np.float32)
    flat[:, :3] = rows[:count]
    wanted = buffers_after(kernel.model, flat.copy())
    assert kernel.run_buffer(flat, threads=threads) is flat
    assert same_bits(flat, wanted)
    assert (flat[:, 8:10] == 7.5).all()


@pytest.mark.parametrize("length", [14, 15, 100])
def test_the_flat_buffer_of_a_row_may_be_longer(length, kernel, rows, wanted) -> None:
    flat = np.full(length, 7.5, np.float32)
    flat[:3] = rows[9]
    assert kernel.run_buffer(flat) is flat
    assert same_bits(flat[10:14], wanted[9])
    assert (flat[14:] == 7.5).all()


@pytest.mark.parametrize("shape", [(13,), (0,), (4, 13), (4, 0)])
def test_a_flat_buffer_that_is_too_small_is_refused(shape, kernel) -> None:
    with pytest.raises(ij.InputError, match="slots a row, the model needs 14") as caught:
        kernel.run_buffer(np.zeros(shape, np.float32))
    assert caught.value.kind == "ComputationBufferTooSmall"
    assert caught.value.fields == {"buffer_size": shape[-1], "required_size": 14}


@pytest.mark.parametrize(
    "buffer",
    [
        None,
        [0.0] * 14,
        np.float32(1),
        np.zeros((1, 1, 14), np.float32),
        np.zeros((2, 15), np.float32),
        np.zeros((2, 28), np.float32)[:, ::2],
        np.zeros(28, np.float32)[::2],
        np.zeros(14),
        read_only(np.zeros(14, np.float32)),
    ],
    ids=["None", "list", "0-D", "3-D", "wide", "columns", "strides", "float64", "read-only"],
)
def test_a_flat_buffer_that_cannot_be_changed_in_place_is_refused(buffer, kernel) -> None:
    with pytest.raises(ij.InputError, match="the buffer must be") as caught:
        kernel.run_buffer(buffer)
    assert caught.value.kind == "OutputMismatch"


# -- other weights ---------------------------------------------------------------------------------


def test_other_weights_need_no_compilation(kernel, rows) -> None:
    model = a_net(seed=9)
    flat = np.zeros((ROWS, 14), np.float32)
    flat[:, :3] = rows
    with no_compilation():
        other = kernel.with_weights(model)
        results = other.predict(rows), other.row(rows[3]), other.predict(rows, slots=(0, 14))
        other.run_buffer(flat)
    wanted = np.ascontiguousarray(reference.run(model, rows))
    assert same_bits(results[0], wanted)
    assert same_bits(results[1], wanted[3])
    assert same_bits(results[2], reference.run_buffers(model, rows))
    assert same_bits(flat, results[2])
    assert other.model is model
    assert kernel.model is not model


def test_weights_of_another_structure_are_refused(kernel) -> None:
    with pytest.raises(ij.InputError, match="compile it instead") as caught:
        kernel.with_weights(ij.Model([3, 1], [ij.ReduceSum(0, 1)], feature_size=3))
    assert caught.value.kind == "StructureMismatch"


def test_weights_of_a_model_with_problems_are_refused(kernel) -> None:
    with pytest.raises(ij.ModelError):
        kernel.with_weights(ij.Model([3, 1], [ij.ReduceSum(0, 7)], feature_size=3))


# -- inline ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inline_loop(kernel):
    f = kernel.inline

    @numba.njit(parallel=True)
    def loop(x, y):
        for i in numba.prange(len(x)):
            f(x[i], y[i])

    return loop


def test_inline_runs_inside_the_users_loops(inline_loop, rows, wanted) -> None:
    out = np.full((ROWS, 4), np.nan, np.float32)
    inline_loop(rows, out)
    assert same_bits(out, wanted)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 4), (4, 4), (3, 3), (3, 5), (0, 0)])
def test_inline_refuses_rows_of_a_wrong_size(inputs, outputs, kernel) -> None:
    out = np.full(outputs, 7.5, np.float32)
    with pytest.raises(ValueError, match="x or out has another length than the model takes"):
        kernel.inline(np.zeros(inputs, np.float32), out)
    assert (out == 7.5).all()


def test_inline_refuses_rows_of_another_type_when_it_is_compiled(kernel) -> None:
    with pytest.raises(numba.TypingError, match="C-contiguous float32"):
        kernel.inline(np.zeros(3), np.zeros(4, np.float32))


def test_inline_refuses_an_output_that_is_read_only(kernel) -> None:
    with pytest.raises(numba.TypingError, match="read-only"):
        kernel.inline(np.zeros(3, np.float32), read_only(np.zeros(4, np.float32)))


# -- the object ------------------------------------------------------------------------------------


def test_a_kernel_tells_what_it_is(kernel) -> None:
    digest = kernel.source.digest
    level = kernel.source.level.name
    assert repr(kernel) == f"Kernel(3 -> 4, 3 instructions, cpu {level}, 0x{digest[:8]})"
    assert kernel.features == ("age", "income", "rate")
    assert (kernel.input_size, kernel.output_size, kernel.required_memory) == (3, 4, 14)
    assert kernel.cost == ij.cost(kernel.model)
    assert str(kernel.source) == kernel.source.text


@pytest.mark.parametrize("name", ["model", "cost", "_level", "anything"])
def test_a_kernel_is_immutable(name, kernel) -> None:
    with pytest.raises(AttributeError):
        setattr(kernel, name, None)
    with pytest.raises(AttributeError):
        delattr(kernel, name)


def test_dump_shows_the_compiled_code(kernel) -> None:
    assert "llvm.fma" in kernel.dump("llvm")
    assert "\tret" in kernel.dump("asm")
    with pytest.raises(ij.InputError, match='"llvm" or "asm", not \'ptx\'') as caught:
        kernel.dump("ptx")
    assert caught.value.kind == "UnknownForm"


@pytest.mark.parametrize(
    ("options", "error", "kind"),
    [
        ({"target": "tpu"}, ij.CompileError, "Unsupported"),
        ({"target": "cuda", "threads": 1}, ij.CompileError, "Unsupported"),
        ({"precision": "bf16"}, ij.CompileError, "Unsupported"),
        ({"level": "sse9"}, ij.CompileError, "UnknownLevel"),
        ({"level": 3}, ij.CompileError, "UnknownLevel"),
        ({"warm": ("tiles",)}, ij.InputError, "UnknownForm"),
        ({"warm": "rows"}, ij.InputError, "UnknownForm"),
        ({"warm": 3}, ij.InputError, "UnknownForm"),
        ({"warm": [[]]}, ij.InputError, "UnknownForm"),
        ({"passes": 3}, ij.InputError, "InputType"),
        ({"passes": "fuse"}, ij.InputError, "InputType"),
        ({"passes": "fuse", "target": "cuda"}, ij.InputError, "InputType"),
        ({"level": ["avx2"]}, ij.CompileError, "UnknownLevel"),
        ({"threads": -(10**5000)}, ij.InputError, "InvalidThreadCount"),
        ({"precision": 10**5000}, ij.CompileError, "Unsupported"),
    ],
    ids=lambda value: shown(value, 60),
)
def test_compile_refuses_what_it_does_not_offer(options, error, kind, kernel) -> None:
    with pytest.raises(error) as caught:
        ij.compile(kernel.model, **options)
    assert caught.value.kind == kind


@pytest.mark.parametrize("target", ["cpu", "cuda"])
@pytest.mark.parametrize("given", [list, iter, tuple])
def test_passes_may_be_given_in_anything(given, target, kernel) -> None:
    made = ij.compile(kernel.model, passes=given((drop_dead, fuse)), target=target)
    assert made == ij.compile(kernel.model, passes=(drop_dead, fuse), target=target)
    assert hash(made) == hash(pickle.loads(pickle.dumps(made)))


@pytest.mark.parametrize(
    "slots", [(0, 10**5000), (-(10**5000), 1), (10**5000, 1), (0, 10**5000, 2), (0, float("nan"))],
    ids=["beyond", "before", "backwards", "three", "NaN"],
)  # fmt: skip
def test_slots_that_no_buffer_has_are_refused(slots, kernel, rows) -> None:
    with pytest.raises(ij.InputError) as caught:
        kernel.predict(rows, slots=slots)
    assert caught.value.kind in ("InvalidSliceRange", "SliceRangeOutOfBounds")
    assert len(str(caught.value)) < 200


def test_a_kernel_is_warmed_by_the_name_of_one_form_or_of_several(kernel) -> None:
    kernel.warm("row")
    kernel.warm(["row", "slots"])
    for wrong in (3, "rows", ["row", 3], None):
        with pytest.raises(ij.InputError, match="warm takes"):
            kernel.warm(wrong)


def test_compile_takes_what_load_takes(kernel, tmp_path, rows, wanted) -> None:
    path = tmp_path / "net.json"
    ij.save(kernel.model, path)
    with no_compilation():
        assert same_bits(ij.compile(path).predict(rows), wanted)
        assert same_bits(ij.compile(path.read_bytes()).predict(rows), wanted)


def test_compile_refuses_a_model_with_problems() -> None:
    with pytest.raises(ij.ModelError):
        ij.compile(ij.Model([3, 1], [ij.Dot(0, 1, 0)], feature_size=3))
