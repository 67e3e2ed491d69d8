"""Every limit: a file that just keeps it loads, one that has one more does not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

import instjit as ij
from instjit import reference
from instjit.formats import FORMATS
from instjit.formats.extras import Blob, Extras
from instjit.formats.json_memory import SPARE, count_marks, parsed_bytes
from instjit.formats.limits import DEFAULT, Limits

RELU = {"type": "ACTIVATION", "input": 0, "activation": "RELU"}


def text(**fields) -> bytes:
    base = {"feature_size": 1, "buffer_sizes": [1], "instructions": [RELU], "weights": []}
    return json.dumps({**base, "bias": [], **fields}, ensure_ascii=False).encode()


def padded(size: int) -> bytes:
    return text().ljust(size)


def lists(count: int) -> bytes:
    more = count - count_marks(text(comment=[])).containers
    return text(comment=[[]] * more)


def values(count: int) -> bytes:
    more = count - count_marks(text(comment=[0])).values
    return text(comment=[0] * (more + 1))


def dots(count: int) -> bytes:
    """A chain of products of one number."""
    chain = [{"type": "DOT", "input": k, "output": k + 1, "weights": k} for k in range(count)]
    weights, bias = [[[1]]] * count, [[0]] * count
    return text(buffer_sizes=[1] * (count + 1), instructions=chain, weights=weights, bias=bias)


def parameters(count: int) -> bytes:
    added = [{"type": "ADD_ELEMENTWISE", "input": 0, "parameters": k} for k in range(count)]
    return text(instructions=added, parameters=[[1]] * count)


def lookups(tables: int, *, size: int = 1, entries: int = 1) -> bytes:
    """Lookups side by side, each in a map of its own."""
    steps = [
        {
            "type": "MAP_TRANSFORM",
            "input": 0,
            "output": 1,
            "internal_input_index": 0,
            "internal_output_index": k * size,
            "map": k,
            "size": size,
            "default": [0] * size,
        }
        for k in range(tables)
    ]
    table = {str(key): [0] * size for key in range(entries)}
    return text(buffer_sizes=[1, tables * size], instructions=steps, maps=[table] * tables)


def named(name: str) -> bytes:
    return text(features=[name], feature_size=None)


def features(count: int) -> bytes:
    names = [f"f{k}" for k in range(count)]
    return text(features=names, feature_size=None, buffer_sizes=[count])


def matrix(count: int) -> bytes:
    """One product with a matrix of one row and its bias."""
    dot = {"type": "DOT", "input": 0, "output": 1, "weights": 0}
    sizes = [count - 1, 1]
    return text(
        feature_size=count - 1,
        buffer_sizes=sizes,
        instructions=[dot],
        weights=[[[1] * (count - 1)]],
        bias=[[0]],
    )


def unequal(count: int) -> bytes:
    return text(weights=[[[0, 1]] + [[0]] * (count - 1)])


def rows(count: int) -> bytes:
    return text(validation_data={"inputs": [[1]] * count, "expected_outputs": [[1]] * count})


def rows_work(count: int) -> int:
    return reference.work(ij.load(rows(1), check=False), count)


@dataclass(frozen=True)
class Case:
    """A file that has ``number`` of what the limit ``name`` bounds, and how one more is refused."""

    name: str
    make: Callable[[int], bytes]
    number: int
    kind: str = "LimitExceeded"
    under: str = "model"
    amount: Callable[[int], int] = int  # what the limit counts, from the number

    @property
    def limit(self) -> int:
        return self.amount(self.number)


def layers(format: str, count: int) -> bytes:
    """A binary file of a chain of products of one number."""
    return FORMATS[format].encode(ij.load(dots(count)))


def named_container(name: str = "", blob: bytes = b"") -> bytes:
    beside = Extras(name, blobs=(Blob(blob, 2, (1,), b""),))
    return FORMATS["rnn0"].encode(ij.load(dots(1)), beside)


SLOTS, WEIGHTS = "ComputationBufferSizeExceedsLimit", "WeightSizeExceedsLimit"
CASES = (
    Case("file_bytes", padded, 500),
    Case("json_bytes", padded, 500),
    Case("json_lists", lists, 40),
    Case("json_values", values, 90),
    Case("instructions", lambda n: text(instructions=[RELU] * n), 9),
    Case("buffers", lambda n: text(buffer_sizes=[1] * n), 7),
    Case("arrays", dots, 5),
    Case("arrays", parameters, 5),
    *(
        Case(name, lambda n, format=format, more=more: layers(format, n - more), 5 + more)
        for format in ("rmd1", "rnn0")
        for name, more in (("instructions", 0), ("arrays", 0), ("buffers", 1))
    ),
    Case("maps", lookups, 4),
    Case("name_bytes", lambda n: named("a" * n), 20),
    Case("name_bytes", lambda n: named("é" * n), 10, amount=lambda n: 2 * n),
    Case("name_bytes", lambda n: named_container("a" * n), 20),
    Case("name_bytes", lambda n: named_container(blob=b"a" * n), 20),
    Case("map_entries", lambda n: lookups(1, entries=n), 12),
    Case("unequal_rows", unequal, 6, under="BiasWeightsMismatch"),
    Case("slots", lambda n: text(buffer_sizes=[1, n - 1]), 100, SLOTS),
    Case("slots", lambda n: text(buffer_sizes=[1] * n), 100, SLOTS),
    Case("slots", features, 30),
    Case("slots", lambda n: lookups(1, size=n), 30, under=SLOTS),
    Case("weights", matrix, 50, WEIGHTS),
    Case("validation_operations", rows, 30, amount=rows_work),
)
OTHERWISE = {
    "json_growth": "below: no file can be made for an exact figure",
    "payload_growth": "with the containers, in test_container",
    "source_lines": "below: it is compile that asks",
}

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def outcome(content: bytes, limits: Limits = DEFAULT) -> ij.Problem | str:
    try:
        ij.load(content, limits=limits)
    except (ij.FormatError, ij.ModelError) as error:
        return error.problems[0]
    return "model"


def kind_of(found: ij.Problem | str) -> str:
    return found if isinstance(found, str) else found.kind


def test_no_limit_is_left_out() -> None:
    names = {field.name for field in dataclasses.fields(Limits)}
    assert {case.name for case in CASES} | set(OTHERWISE) == names


@each_case
def test_a_file_at_its_limit_loads(case: Case) -> None:
    limits = Limits(**{case.name: case.limit})
    assert kind_of(outcome(case.make(case.number), limits)) == case.under


@each_case
def test_one_more_is_refused_with_its_figures(case: Case) -> None:
    limits = Limits(**{case.name: case.limit})
    problem = outcome(case.make(case.number + 1), limits)
    assert kind_of(problem) == case.kind
    assert problem.fields["max"] == case.limit
    assert str(case.limit) in problem.message
    if case.name != "file_bytes":  # which stops reading there
        assert problem.fields["actual"] == case.amount(case.number + 1)


@each_case
def test_the_default_is_far_above_these_files(case: Case) -> None:
    assert kind_of(outcome(case.make(case.number + 1))) in ("model", "BiasWeightsMismatch")


DEFAULTS = (
    Case("instructions", lambda n: text(instructions=[{}] * n), 2**16, under="ParseError"),
    Case("buffers", lambda n: text(buffer_sizes=[1] * n), 2**16),
    Case("arrays", lambda n: text(bias=[[]] * n), 2**16, under="BiasWeightsMismatch"),
    Case("maps", lambda n: text(maps=[{}] * n), 2**16, under="UnusedMap"),
    Case("name_bytes", lambda n: named("a" * n), 256),
    Case("unequal_rows", unequal, 2**16, under="BiasWeightsMismatch"),
    Case("slots", lambda n: text(buffer_sizes=[1, n - 1]), 10**6, SLOTS),
    Case("weights", lambda n: text(bias=[[0] * n]), 10**7, WEIGHTS, under="BiasWeightsMismatch"),
)


@pytest.mark.parametrize("case", DEFAULTS, ids=lambda case: case.name)
def test_the_default_holds_to_the_unit_and_can_be_raised(case: Case) -> None:
    """A file may have other faults: those come after the limits, or before those of the model."""
    over = case.make(case.limit + 1)
    raised = Limits(**{case.name: case.limit + 1})

    def kinds(content: bytes, limits: Limits = DEFAULT) -> set[str]:
        try:
            ij.load(content, limits=limits)
        except (ij.FormatError, ij.ModelError) as error:
            return {problem.kind for problem in error.problems}
        return {"model"}

    assert case.kind in kinds(over)
    assert case.under in kinds(over, raised)
    for held in (kinds(case.make(case.limit)), kinds(over, raised)):
        assert case.under in held
        assert case.kind not in held


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("file_bytes", 2**30),
        ("json_bytes", 2**28),
        ("json_lists", 2**22),
        ("json_values", 2**25),
        ("json_growth", 24),
        ("map_entries", 2**22),
        ("validation_operations", 2**27),
        ("source_lines", 20_000),
    ],
)
def test_the_defaults_that_take_too_long_to_reach(name, default) -> None:
    assert getattr(DEFAULT, name) == default


@pytest.mark.parametrize("piece", ["[]", "{}", "[1]", '{"a":0}', '"a"', "[0, 1]", '"é"', "1.5"])
def test_what_a_text_grows_to_is_bounded_before_it_is_parsed(piece) -> None:
    content = b'{"comment":[' + ",".join([piece] * 600_000).encode() + b"]}"
    needed = parsed_bytes(content, count_marks(content), 0)
    growth = -(-(needed - SPARE) // len(content))
    assert growth > 1
    problem = outcome(content, Limits(json_growth=growth - 1))
    assert (kind_of(problem), problem.fields["actual"]) == ("LimitExceeded", needed)
    assert problem.fields["max"] == (growth - 1) * len(content) + SPARE
    assert kind_of(outcome(content, Limits(json_growth=growth))) == "ParseError"


@pytest.mark.parametrize(
    "row",
    ["[0,1],[1,0]", "[0, 1], [1, 0]", "[1,0,0,0]", "[7]", "[0.5]", "[-1,1]"],
)
def test_matrices_of_short_numbers_are_no_attack(row) -> None:
    """A megabyte of one row after the other; only a matrix of many millions is over the limit."""
    count = 2**20 // (len(row) + 1)
    content = text(weights="WEIGHTS").replace(
        b'"WEIGHTS"', b"[[" + b",".join([row.encode()] * count) + b"]]"
    )
    assert kind_of(outcome(content)) == "BiasWeightsMismatch"


def test_sixteen_megabytes_of_digits_are_no_attack() -> None:
    row = b"[" + b",".join([b"0", b"1"] * 500) + b"]"
    content = text(weights="WEIGHTS").replace(
        b'"WEIGHTS"', b"[[" + b",".join([row] * (2**24 // len(row))) + b"]]"
    )
    assert kind_of(outcome(content)) == "BiasWeightsMismatch"


def test_a_source_has_so_many_lines_and_no_more() -> None:
    content = dots(5)
    lines = ij.compile(content).source.text.count("\n")
    assert ij.compile(content, limits=Limits(source_lines=lines)).row([1])[0] == 1
    with pytest.raises(ij.CompileError, match=f"has {lines} lines, the limit is {lines - 1}") as no:
        ij.compile(content, limits=Limits(source_lines=lines - 1))
    assert no.value.kind == "LimitExceeded"
