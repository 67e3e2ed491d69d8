"""Record batches of any source and size through a kernel: the bits and the order of predict."""

from __future__ import annotations

import decimal
import itertools
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_cases import NET

import instjit as ij
from instjit.arrow import chunks

pa = pytest.importorskip("pyarrow")
dataset = pytest.importorskip("pyarrow.dataset")
parquet = pytest.importorskip("pyarrow.parquet")

ROWS = np.random.default_rng(5).normal(size=(1000, 3)).astype(np.float32)
NAMES = ("age", "pair[0]", "pair[1]")
PLAIN = ij.Model(NET.buffers, NET.instructions, NET.weights, NET.bias, feature_size=3)
ONE = ij.Model([3, 1], [ij.Dot(0, 1, 0)], [[[1, 2, 3]]], feature_size=3)


@pytest.fixture(scope="module")
def kernel() -> ij.Kernel:
    return ij.compile(NET)


@pytest.fixture(scope="module")
def plain() -> ij.Kernel:
    return ij.compile(PLAIN)


def table(rows: np.ndarray = ROWS, names: tuple[str, ...] = NAMES) -> Any:
    return pa.table({name: rows[:, k] for k, name in enumerate(names)})


def values(batches: Any) -> np.ndarray:
    """The rows of batches, after a look at what they are."""
    several = list(batches)
    for batch in several:
        assert batch.schema.types == [pa.float32()] * len(batch.schema)
        assert sum(column.null_count for column in batch.columns) == 0
    parts = [np.stack([c.to_numpy() for c in batch.columns], axis=1) for batch in several]
    return np.concatenate(parts) if parts else np.empty((0, 2), np.float32)


def same(batches: Any, outputs: np.ndarray) -> bool:
    found = values(batches)
    return found.shape == outputs.shape and found.tobytes() == outputs.tobytes()


class Capsule:
    """A frame of another library."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._inner.__arrow_c_stream__(requested_schema)


class ArrayCapsule:
    """A batch of another library."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self._inner.__arrow_c_array__(requested_schema)


def on_disk(folder: Path) -> Any:
    """A data set of three files."""
    for number, start in enumerate((0, 400, 700)):
        stop = (400, 700, 1000)[number]
        parquet.write_table(table(ROWS[start:stop]), folder / f"part{number}.parquet")
    return dataset.dataset(folder)


SOURCES: dict[str, Callable[[Path], Any]] = {
    "table": lambda _: table(),
    "reader": lambda _: table().to_reader(max_chunksize=30),
    "batch": lambda _: table().combine_chunks().to_batches()[0],
    "list of batches": lambda _: table().to_batches(max_chunksize=7),
    "generator": lambda _: (batch for batch in table().to_batches(max_chunksize=333)),
    "tables": lambda _: [table(ROWS[:600]), table(ROWS[600:])],
    "readers": lambda _: [table(ROWS[:600]).to_reader(), table(ROWS[600:]).to_reader()],
    "data set": on_disk,
    "scanner": lambda folder: on_disk(folder).scanner(batch_size=90),
    "stream capsule": lambda _: Capsule(table()),
    "array capsule": lambda _: ArrayCapsule(table().combine_chunks().to_batches()[0]),
    "array capsules": lambda _: [ArrayCapsule(b) for b in table().to_batches(max_chunksize=99)],
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_rows_in_their_order(source: str, kernel, tmp_path) -> None:
    assert same(kernel.stream(SOURCES[source](tmp_path)), kernel.predict(ROWS))


@pytest.mark.parametrize("size", [1, 7, 64, 999, 1000, 5000])
@pytest.mark.parametrize("rows", [1, 5, 64, 333, 1000, 4096, None])
def test_batches_are_cut_anew(size: int, rows: int | None, kernel) -> None:
    found = list(kernel.stream(table().to_batches(max_chunksize=size), rows=rows))
    height = rows or chunks.good_height(3, 2)
    full, rest = divmod(len(ROWS), height)
    assert [batch.num_rows for batch in found] == [height] * full + [rest] * (rest > 0)
    assert same(found, kernel.predict(ROWS))


def test_empty_batches_between_others_are_nothing(kernel) -> None:
    empty = [pa.RecordBatch.from_pydict({name: [] for name in names}) for names in (NAMES, "ab")]
    several = [*empty, *table(ROWS[:5]).to_batches(), *empty, *table(ROWS[5:]).to_batches()]
    assert same(kernel.stream(several, rows=100), kernel.predict(ROWS))


@pytest.mark.parametrize("source", [[], iter(()), table(ROWS[:0])], ids=["list", "iter", "table"])
def test_no_rows_are_no_batches_of_the_same_schema(source: Any, kernel) -> None:
    reader = kernel.stream(source)
    assert reader.schema.names == ["y0", "y1"]
    assert list(reader) == []


def test_outputs_are_called_as_the_command_line_calls_them(kernel) -> None:
    assert kernel.stream(table()).schema.names == ["y0", "y1"]
    reader = ij.compile(ONE).stream(table())
    assert reader.schema == pa.schema([pa.field("y", pa.float32(), nullable=False)])


@pytest.mark.parametrize(
    "kind", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "bool_"]
)
def test_integers_and_bools_are_converted(kind: str, plain) -> None:
    rows = np.random.default_rng(1).integers(0, 2, (90, 3)) * (1 if kind == "bool_" else 100)
    columns = {name: pa.array(rows[:, k]).cast(getattr(pa, kind)()) for k, name in enumerate("abc")}
    assert same(plain.stream(pa.table(columns)), plain.predict(rows))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_floats_are_converted(kind: str, plain) -> None:
    rows = ROWS.astype(kind)
    rows[:3, 0] = [np.nan, np.inf, -0.0]
    assert same(plain.stream(table(rows)), plain.predict(rows))


def test_what_is_beyond_float32_is_infinite(plain) -> None:
    rows = np.array([[1e300, -1e300, 1.0]])
    assert same(plain.stream(table(rows)), plain.predict(rows))


def lists(kind: str, rows: np.ndarray = ROWS, value: str = "float32") -> Any:
    inner = getattr(pa, value)()
    types = {
        "fixed": pa.list_(inner, rows.shape[1]),
        "list": pa.list_(inner),
        "large": pa.large_list(inner),
    }
    return pa.array(rows.astype(value).tolist(), types[kind])


KINDS = ("fixed", "list", "large")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", [NET, PLAIN], ids=["features", "none"])
@pytest.mark.parametrize("value", ["float32", "float64"])
def test_one_column_of_lists_is_the_whole_row(kind: str, model: ij.Model, value: str) -> None:
    kernel = ij.compile(model)
    source = pa.table({"embedding": lists(kind, value=value)})
    assert same(kernel.stream(source, rows=64), kernel.predict(ROWS))
    sliced = source.slice(100, 300).to_batches(max_chunksize=37)
    assert same(kernel.stream(sliced, rows=64), kernel.predict(ROWS[100:400]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["pair", "pair[2]"])
def test_an_array_feature_may_be_a_column_of_lists(kind: str, name: str, kernel) -> None:
    columns = {name: lists(kind, ROWS[:, 1:]), "label": ["x"] * len(ROWS), "age": ROWS[:, 0]}
    assert same(kernel.stream(pa.table(columns)), kernel.predict(ROWS))


def test_columns_are_found_by_name_and_others_do_not_matter(kernel) -> None:
    mixed = table(ROWS[:, ::-1], NAMES[::-1]).append_column("id", pa.array(["x"] * len(ROWS)))
    assert same(kernel.stream(mixed), kernel.predict(ROWS))
    assert same(kernel.stream(mixed.to_batches(max_chunksize=50)), kernel.predict(ROWS))


def test_other_names_may_be_given(kernel, plain) -> None:
    named = table(ROWS, ("a", "b", "c"))
    assert same(kernel.stream(named, ["c", "a", "b"]), kernel.predict(ROWS[:, [2, 0, 1]]))
    assert same(plain.stream(named, columns=("b", "a", "c")), plain.predict(ROWS[:, [1, 0, 2]]))


def test_a_model_without_features_takes_columns_by_position(plain) -> None:
    assert same(plain.stream(table(ROWS, ("z", "y", "x"))), plain.predict(ROWS))
    mixed = pa.table({"z": ROWS[:, 0], "rest": lists("fixed", ROWS[:, 1:])})
    assert same(plain.stream(mixed), plain.predict(ROWS))


def test_a_data_set_is_read_by_the_columns_that_are_taken(kernel, tmp_path) -> None:
    broken = table().append_column("z", pa.array(["x"] * len(ROWS)))
    parquet.write_table(broken, tmp_path / "rows.parquet")
    read = []

    class Watched:
        schema = dataset.dataset(tmp_path).schema

        def to_batches(self) -> Any:
            raise AssertionError

        def scanner(self, **options: Any) -> Any:
            read.append(options["columns"])
            return dataset.dataset(tmp_path).scanner(**options)

    assert same(kernel.stream(Watched()), kernel.predict(ROWS))
    assert read == [list(NAMES)]


def test_batches_may_change_their_schema_on_the_way(kernel) -> None:
    several = [
        table(ROWS[:100]),
        table(ROWS[100:200, ::-1].astype(np.float64), NAMES[::-1]),
        pa.table({"age": ROWS[200:300, 0], "pair": lists("list", ROWS[200:300, 1:])}),
    ]
    assert same(kernel.stream(several, rows=64), kernel.predict(ROWS[:300]))


def with_null(place: int, name: str = "age") -> Any:
    mask = np.zeros(len(ROWS), bool)
    mask[place] = True
    columns = {n: ROWS[:, k] for k, n in enumerate(NAMES)}
    column = pa.array(columns[name], mask=mask)
    return pa.table({**columns, name: column}).to_batches(max_chunksize=100)


def single(**columns: Any) -> Any:
    return pa.table({"age": [1.0], "pair[0]": [2.0], "pair[1]": [3.0], **columns})


MONEY = pa.array([decimal.Decimal("1.5")])
ERRORS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "null": (lambda: with_null(250), "NullValue",
             "column 'age' of batch 2: row 50 is null, expected a number"),
    "null later": (lambda: with_null(999, "pair[1]"), "NullValue",
                   "column 'pair[1]' of batch 9: row 99 is null, expected a number"),
    "null list": (lambda: pa.table({"x": pa.array([[1, 2, 3], None])}), "NullValue",
                  "column 'x' of batch 0: row 1 is null, expected a number"),
    "null in a list": (lambda: pa.table({"x": pa.array([[1, 2, 3], [4, None, 6]])}), "NullValue",
                       "column 'x' of batch 0: row 1 is null, expected a number"),
    "text": (lambda: single(age=["x"]), "WrongColumnType",
             "column 'age' of batch 0 holds string, expected numbers"),
    "all null": (lambda: single(age=pa.nulls(1)), "WrongColumnType",
                 "column 'age' of batch 0 holds null, expected numbers"),
    "date": (lambda: single(age=pa.array([0], pa.date32())), "WrongColumnType",
             "column 'age' of batch 0 holds date32[day], expected numbers"),
    "dictionary": (lambda: single(age=pa.array([1.0]).dictionary_encode()), "WrongColumnType",
                   "column 'age' of batch 0 holds dictionary<values=double, indices=int32, "
                   "ordered=0>, expected numbers; decode it first"),
    "decimal": (lambda: single(age=MONEY), "WrongColumnType",
                "column 'age' of batch 0 holds decimal128(2, 1), expected numbers; cast it to "
                "float64 first"),
    "later text": (lambda: [table(), single(**{"pair[0]": [b"x"]})], "WrongColumnType",
                   "column 'pair[0]' of batch 1 holds binary, expected numbers"),
    "list for a number": (lambda: single(age=[[1.0, 2.0]]), "InputShape",
                          "column 'age' of batch 0: row 0 holds 2 numbers, expected 1"),
    "list of text": (lambda: pa.table({"x": [["a", "b", "c"]]}), "WrongColumnType",
                     "column 'x' of batch 0 holds list<item: string>, expected lists of 3 numbers"),
    "missing": (lambda: table(ROWS, ("age", "b", "c")), "MissingColumns",
                "batch 0 lacks 1 of the 2 features that the model takes: pair[2]"),
    "all missing": (lambda: table(ROWS, ("a", "b", "c")), "MissingColumns",
                    "batch 0 lacks 2 of the 2 features that the model takes: age, pair[2]"),
    "missing later": (lambda: [table(), table(ROWS[:, :2], ("age", "x"))], "MissingColumns",
                      "batch 1 lacks 1 of the 2 features that the model takes: pair[2]"),
    "twice": (lambda: pa.Table.from_arrays([pa.array([1.0])] * 4, [*NAMES, "age"]),
              "AmbiguousColumn", "batch 0: column 'age' stands 2 times"),
    "short list": (lambda: pa.table({"x": [[1.0, 2, 3], [1.0, 2]]}), "InputShape",
                   "column 'x' of batch 0: row 1 holds 2 numbers, expected 3"),
    "no batches": (lambda: 7, "InputType",
                   "expected a reader, a table or an iterable of record batches, got int"),
    "a dict": (lambda: {"age": [1]}, "InputType",
               "expected a reader, a table or an iterable of record batches, got dict"),
    "a path": (lambda: "rows.parquet", "InputType",
               "expected a reader, a table or an iterable of record batches, got str"),
    "an array": (lambda: [table(), np.zeros((3, 3))], "InputType",
                 "expected item 1 to be a record batch, got ndarray"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_rows_is_one_clear_error(name: str, kernel) -> None:
    source, kind, sentence = ERRORS[name]
    with pytest.raises(ij.InputError) as caught:
        kernel.stream(source()).read_all()
    assert caught.value.kind == kind
    assert str(caught.value) == sentence


POSITION_ERRORS = {
    "narrow": (lambda: table(ROWS[:, :2], ("a", "b")),
               "batch 0 has 2 columns (a, b), the model takes 3"),
    "wide": (lambda: table().append_column("d", ROWS[:, :1].ravel()[None]),
             "batch 0 has 4 columns (age, pair[0], pair[1], d), the model takes 3"),
    "lists": (lambda: pa.table({"a": [1.0], "b": pa.array([[1.0, 2.0]])}),
              "batch 0 has columns of lists of unknown length (a, b), the model takes 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", POSITION_ERRORS)
def test_another_number_of_columns_is_an_error(name: str, plain) -> None:
    source, sentence = POSITION_ERRORS[name]
    with pytest.raises(ij.InputError) as caught:
        plain.stream(source()).read_all()
    assert caught.value.kind == "ValidationInputSizeMismatch"
    assert str(caught.value) == sentence


def test_an_extension_type_is_refused_with_a_hint(kernel) -> None:
    tensor = pa.fixed_shape_tensor(pa.float32(), [3])
    column = pa.ExtensionArray.from_storage(tensor, lists("fixed"))
    with pytest.raises(ij.InputError, match="take its storage first"):
        kernel.stream(pa.table({"age": column, "pair": column})).read_all()


def test_nulls_may_be_nan(kernel, plain) -> None:
    rows = ROWS.copy()
    rows[250, 0] = np.nan
    assert same(kernel.stream(with_null(250), nulls="nan"), kernel.predict(rows))
    columns = {"a": pa.array([1, None, 2**62]), "b": pa.array([True, None, False]), "c": [1, 2, 3]}
    wanted = np.array([[1, 1, 1], [np.nan, np.nan, 2], [2.0**62, 0, 3]], np.float32)
    assert same(plain.stream(pa.table(columns), nulls="nan"), plain.predict(wanted))


@pytest.mark.parametrize("kind", KINDS)
def test_nulls_in_and_of_lists_may_be_nan(kind: str, plain) -> None:
    types = {"fixed": pa.list_(pa.float32(), 3), "list": pa.list_(pa.float32()),
             "large": pa.large_list(pa.float32())}  # fmt: skip
    column = pa.array([[1, 2, 3], None, [4, None, 6]], types[kind])
    nan = np.nan
    wanted = np.array([[1, 2, 3], [nan, nan, nan], [4, nan, 6]], np.float32)
    assert same(plain.stream(pa.table({"x": column}), nulls="nan"), plain.predict(wanted))


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"nulls": "zero"}, "UnknownForm"),
        ({"rows": 0}, "InvalidRowCount"),
        ({"rows": 2**70}, "InvalidRowCount"),
        ({"rows": 10**5000}, "InvalidRowCount"),
        ({"rows": -(10**5000)}, "InvalidRowCount"),
        ({"rows": float("nan")}, "InvalidRowCount"),
        ({"nulls": ["nan"]}, "UnknownForm"),
        ({"columns": [["age"]]}, "InputType"),
        ({"rows": 1.5}, "InvalidRowCount"),
        ({"columns": "age"}, "InputType"),
    ],
)
def test_options_are_looked_at_before_anything_is_read(options, kind: str, kernel) -> None:
    def unread() -> Iterator[Any]:
        raise AssertionError
        yield

    with pytest.raises(ij.InputError) as caught:
        kernel.stream(unread(), **options)
    assert caught.value.kind == kind


def test_a_chunk_is_computed_when_it_is_read(kernel) -> None:
    taken = 0

    def counted() -> Iterator[Any]:
        nonlocal taken
        for batch in table().to_batches(max_chunksize=100):
            taken += 1
            yield batch

    reader = kernel.stream(counted(), rows=200)
    assert taken == 0
    assert reader.read_next_batch().num_rows == 200
    assert taken == 2


MANY = np.random.default_rng(6).normal(size=(40_000, 3)).astype(np.float32)
HEIGHTS = {
    "one by one": [1] * 300,
    "of a thousand": [1000] * 40,
    "large and small": [5, 8192, 7, 0, 4096, 4095, 1, 20_000, 3, 3],
    "just not large": [chunks.SMALL - 1] * 9,
    "one more than are gathered": [1000] * (chunks.GATHERED // 1000) + [385, 1, 1],
}


@pytest.mark.parametrize("rows", [64, 4096, 10_000, 2**17])
@pytest.mark.parametrize("name", HEIGHTS)
def test_small_batches_are_gathered_and_nothing_shows_it(name: str, rows: int, kernel) -> None:
    ends = np.cumsum([0, *HEIGHTS[name]])
    whole = table(MANY)
    batches = [whole.slice(a, b - a).combine_chunks() for a, b in itertools.pairwise(ends)]
    several = [batch.to_batches()[0] for batch in batches if batch.num_rows]
    found = list(kernel.stream(several, rows=rows))
    assert same(found, kernel.predict(MANY[: ends[-1]]))
    heights = [batch.num_rows for batch in found]
    assert all(height == rows for height in heights[:-1])
    assert heights[-1] <= rows


def test_columns_that_are_not_taken_are_not_gathered(kernel) -> None:
    """Dictionaries that differ from batch to batch, which nothing joins, and text."""
    label = [pa.array([f"{k}"] * 100).dictionary_encode() for k in range(10)]
    several = [
        batch.append_column("label", label[k]).append_column("text", pa.array(["x"] * 100))
        for k, batch in enumerate(table().to_batches(max_chunksize=100))
    ]
    assert same(kernel.stream(several), kernel.predict(ROWS))


def test_few_small_batches_are_held(kernel) -> None:
    alive: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
    most = 0

    def watched() -> Iterator[Any]:
        nonlocal most
        for number in range(500):
            batch = alive[number] = table(ROWS[:128]).to_batches()[0]
            most = max(most, len(alive))
            yield batch

    assert sum(batch.num_rows for batch in kernel.stream(watched(), rows=2**17)) == 64_000
    assert 2 < most <= chunks.GATHERED // 128 + 2


@pytest.mark.parametrize("wrong", [0, 3, 9])
def test_a_wrong_batch_among_gathered_ones_is_named(wrong: int, plain) -> None:
    column = pa.array([[1.0, 2, 3]] * 100)
    short = pa.array([[1.0, 2, 3]] * 7 + [[1.0, 2]] + [[1.0, 2, 3]] * 92)
    several = [pa.record_batch({"x": short if k == wrong else column}) for k in range(10)]
    with pytest.raises(ij.InputError) as caught:
        plain.stream(several).read_all()
    message = f"column 'x' of batch {wrong}: row 7 holds 2 numbers, expected 3"
    assert str(caught.value) == message


def test_an_earlier_wrong_batch_is_told_of_before_a_later_schema(kernel) -> None:
    null = table().to_batches(max_chunksize=100)[:3]
    null[1] = with_null(50)[0]
    with pytest.raises(ij.InputError, match="column 'age' of batch 1: row 50 is null"):
        kernel.stream([*null, single(age=["x"])]).read_all()


def test_an_error_of_the_source_comes_through(kernel) -> None:
    def failing() -> Iterator[Any]:
        yield table().to_batches()[0]
        raise ConnectionError("the line is cut")

    with pytest.raises(ConnectionError, match="the line is cut"):
        kernel.stream(failing(), rows=2000).read_all()


def test_several_threads_may_stream_at_once(kernel) -> None:
    wanted, right = kernel.predict(ROWS), []

    def work() -> None:
        right.append(same(kernel.stream(table().to_batches(max_chunksize=9), rows=50), wanted))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 4


def test_the_result_can_be_written_as_it_comes(kernel, tmp_path) -> None:
    reader = kernel.stream(table().to_batches(max_chunksize=100), rows=128)
    with parquet.ParquetWriter(tmp_path / "out.parquet", reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    assert same(parquet.read_table(tmp_path / "out.parquet").to_batches(), kernel.predict(ROWS))


def test_without_pyarrow_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "import instjit\n"
        "net = instjit.Model([1, 1], [instjit.Copy(0, 1)], feature_size=1)\n"
        "try: instjit.Kernel(net).stream([])\n"
        "except instjit.InputError as error: print(error.kind, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wanted = "MissingPackage rows in Arrow and Parquet take pyarrow: pip install 'instjit[arrow]'"
    assert done.stdout.strip() == wanted


STREAM = """
import resource, sys
import numpy as np, pyarrow as pa
sys.path.insert(0, "tests")
import instjit
from nets import dense

def batches(count):
    for number in range(count):
        x = np.full((250_000, 20), number, np.float32)
        yield pa.RecordBatch.from_arrays([pa.array(c) for c in np.ascontiguousarray(x.T)],
                                         [f"c{k}" for k in range(20)])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

kernel = instjit.compile(dense(20, 64, 32, 1))
sum(batch.num_rows for batch in kernel.stream(batches(2)))
before = peak()
print(sum(batch.num_rows for batch in kernel.stream(batches(12))), peak() - before)
"""


def test_memory_does_not_grow_with_the_stream() -> None:
    """Twelve batches of 20 MB: 240 MB; what two of them took is not exceeded by one."""
    done = subprocess.run(
        [sys.executable, "-c", STREAM],
        cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows, growth = map(int, done.stdout.split())
    assert rows == 3_000_000
    assert growth <= 20 * 1024  # KiB


@pytest.mark.parametrize("columns", [5, [0, 1, 2], [b"a", "b", "c"], ["a", "a", "b"], "abc"])
def test_columns_that_are_no_list_of_different_names_are_refused(columns, plain) -> None:
    with pytest.raises(ij.InputError, match="columns must be") as caught:
        plain.stream(pa.table({name: ROWS[:, 0] for name in "abc"}), columns=columns)
    assert caught.value.kind == "InputType"
