"""Arguments of the wrong kind: one clear error each, never what Python happens to raise."""

from __future__ import annotations

import io
from datetime import datetime
from decimal import Decimal

import numpy as np
import pytest

import instjit as ij
from instjit import reference

HUGE = 10**5000
COPY = ij.Copy(0, 1)
NET = ij.Model([2, 2], [COPY], features=["a", "b"])
DOCUMENT = {
    "features": ["a", "b"],
    "buffer_sizes": [2, 2],
    "instructions": [{"type": "COPY", "input": 0, "output": 1, "internal_index": 0}],
    "weights": [],
    "bias": [],
}


class Reader:
    """An open file whose ``read`` gives what it was told."""

    def __init__(self, content: object) -> None:
        self.content = content

    def read(self, size: int) -> object:
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


@pytest.mark.parametrize("source", [None, 42, [], np.zeros(3), NET, io.BytesIO])
@pytest.mark.parametrize("take", [ij.load, lambda source: ij.compile(source)])
def test_what_is_no_file_is_refused(source, take) -> None:
    if source is NET and take is not ij.load:
        return
    with pytest.raises(ij.FormatError, match="expected a path, bytes, an open binary file"):
        take(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"Reader: expected bytes from read\(\), got NoneType"),
        ([1], r"Reader: expected bytes from read\(\), got list"),
        (ValueError("I/O operation on closed file"), "Reader: cannot be read: I/O operation"),
        ("\ud800", "Reader: cannot be read"),
    ],
)
def test_a_file_that_gives_no_bytes_is_refused(content, message) -> None:
    with pytest.raises(ij.FormatError, match=message) as caught:
        ij.load(Reader(content))
    assert caught.value.kind == "Unreadable"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"buffer_sizes": [HUGE]}, "buffer_sizes[0]: expected an integer >= 0, of 64 bits, got an"),
        ({"buffer_sizes": [-HUGE]}, "buffer_sizes[0]: expected an integer >= 0, of 64 bits, got"),
        ({"feature_size": 2**64}, "feature_size: expected an integer >= 0, of 64 bits, got an"),
        ({"features": ["\ud800", "b"]}, "features[0]: expected a string of valid Unicode"),
        ({"parameters": [[HUGE]]}, "parameters[0]: expected numbers of the size of a float"),
        ({"parameters": [[np.float32(1), HUGE]]}, "parameters[0][1]: expected a number of the"),
        ({"maps": [{HUGE: [1], "2": ["x"]}]}, "maps[0].'2'[0]: expected a number, got 'x'"),
    ],
)
def test_a_document_with_what_no_file_can_hold_is_refused(changes, message) -> None:
    with pytest.raises(ij.FormatError) as caught:
        ij.load(DOCUMENT | changes)
    assert caught.value.kind == "ParseError"
    assert message in str(caught.value)


def test_a_map_key_of_any_size_is_reported() -> None:
    with pytest.raises(ij.ModelError) as caught:
        ij.load(DOCUMENT | {"maps": [{HUGE: [1]}]})
    assert "InvalidMapKey" in [problem.kind for problem in caught.value.problems]


def test_a_feature_name_that_no_file_can_hold_is_a_problem() -> None:
    model = ij.Model([2, 2], [COPY], features=["\ud800", "b"])
    assert [problem.kind for problem in ij.validate(model)] == ["InvalidFeatureFormat"]


@pytest.mark.parametrize(
    ("buffers", "instructions", "rest", "message"),
    [
        ([2.7, 3], [COPY], {}, "buffer 0: expected an integer, got 2.7"),
        ([2, "3"], [COPY], {}, "buffer 1: expected an integer, got '3'"),
        ([2, HUGE], [COPY], {}, "buffer 1: expected an integer, got one of more than 64 bits"),
        ([ij.Buffer((2**40, 2**40))], [COPY], {}, "buffer 0: expected an integer, got one of"),
        (3, [COPY], {}, "buffers: expected a list, got int"),
        ([2, 3], ["x"], {}, "instructions 0: expected an instruction such as"),
        ([2, 3], [ij.Copy], {}, "instructions 0: expected an instruction such as"),
        ([2, 3], None, {}, "instructions: expected a list, got NoneType"),
        ([2, 3], [COPY], {"features": "abc"}, "features: expected a list, got str"),
        ([2, 3], [COPY], {"feature_size": 1.5}, "feature_size: expected an integer, got 1.5"),
        ([2, 3], [COPY], {"weights": [None]}, "weights 0: expected a list of rows, got NoneType"),
        ([2, 3], [COPY], {"weights": None}, "weights: expected a list, got NoneType"),
        ([2, 3], [COPY], {"maps": [3]}, "map: expected a list, got int"),
        ([2, 3], [COPY], {"maps": [[1, 2]]}, "map: expected a dict, or pairs of a key and"),
        ([2, 3], [COPY], {"validation_data": 3}, "validation_data: expected a list, got int"),
        ([2, 3], [COPY], {"validation_data": [[]]}, "validation_data: expected inputs and outputs"),
    ],
)
def test_a_model_of_the_wrong_kinds_is_refused(buffers, instructions, rest, message) -> None:
    with pytest.raises(ij.ModelError) as caught:
        ij.Model(buffers, instructions, **rest)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("operands", [("x", 1), (1.0, 1), (HUGE, 1), (None, 1)])
def test_an_operand_that_is_no_integer_is_refused(operands) -> None:
    with pytest.raises(ij.ModelError, match="an operand: expected an integer"):
        ij.Copy(*operands)
    with pytest.raises(ij.ModelError, match="an operand: expected"):
        ij.AddElementwiseBuffers(operands[0], 1)


@pytest.mark.parametrize("warm", ["row", ("row", "slots"), ["buffer"]])
def test_forms_to_warm_are_one_or_several(warm) -> None:
    assert ij.compile(NET, warm=warm).row([1, 2]).tolist() == [1, 2]


@pytest.mark.parametrize("given", [None, 3, "model.json"])
def test_new_weights_come_in_a_model(given) -> None:
    with pytest.raises(ij.InputError, match="with_weights takes an instjit"):
        ij.compile(NET).with_weights(given)


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ([1, 2j], "an array of complex128"),
        (["1", "2"], "an array of <U1"),
        (np.array(["2020-01-01", "2020-01-02"], "datetime64[D]"), "an array of datetime64"),
        (np.ma.array([1.0, 2.0], mask=[False, True]), "masked values"),
        (np.array([1, "2"], object), "an array that holds '2'"),
        ([1.0, None], "an array that holds 'None'"),
        (np.array([1, 2j], object), "an array that holds '2j'"),
    ],
)
def test_what_is_no_number_is_no_input(row, got) -> None:
    kernel = ij.compile(NET)
    for take, given, start in (
        (kernel.row, row, "x must be a row of numbers, got "),
        (kernel.predict, [row], "X must be rows of numbers of equal length, got "),
        (lambda rows: reference.run(NET, rows), [row], "X must be rows"),
    ):
        with pytest.raises(ij.InputError) as caught:
            take(given)
        assert caught.value.kind == "InputType"
        assert str(caught.value).startswith(start)
        assert got in str(caught.value)


@pytest.mark.parametrize("row", [[1, HUGE], [datetime(2020, 1, 1), 1], [object(), 1]])
def test_what_does_not_convert_is_no_input(row) -> None:
    with pytest.raises(ij.InputError, match=r"^x must be a row of numbers: "):
        ij.compile(NET).row(row)


@pytest.mark.parametrize(
    "row",
    [
        [True, 2],
        np.array([1, 2], np.uint8),
        np.array([1, 2], np.float16),
        np.array([Decimal(1), 2], object),
        [1, Decimal(2)],
        np.ma.array([1, 2], mask=False),
    ],
)
def test_numbers_of_every_kind_are_input(row) -> None:
    assert reference.run(NET, [row]).tolist() == [[1, 2]]


def test_constants_cannot_be_made_writable_again() -> None:
    table = ij.LookupTable({1: [1.0], 2: [2.0]})
    ragged = ij.Model([1], [COPY], weights=[[[1], [1, 2]]]).weights[0]
    rows = ij.ValidationData([[1]], [[2]])
    net = ij.Model([1, 1], [ij.Dot(0, 1, weights=0)], [[[2]]], parameters=[[1]])
    for array in (
        net.weights[0], net.bias[0], net.parameters[0], rows.inputs, ragged, ragged[0],
        table.values, table.keys_array, table.values_array,
    ):  # fmt: skip
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


def test_saving_follows_a_link(tmp_path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    ij.save(NET, link)
    assert link.is_symlink()
    assert ij.load(target) == NET
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "target.json"]


def test_saving_replaces_no_folder(tmp_path) -> None:
    (tmp_path / "net.json").mkdir()
    with pytest.raises(ij.InputError, match="not a regular file"):
        ij.save(NET, tmp_path / "net.json")


def test_the_cost_of_a_model_with_problems_is_an_error() -> None:
    with pytest.raises(ij.ModelError, match="instruction 1 names what the model does not have"):
        ij.cost(ij.Model([2, 2], [COPY, ij.Dot(0, 1, weights=3)], feature_size=2))


def test_only_models_are_joined() -> None:
    with pytest.raises(ij.ModelError, match="model 1: expected an instjit"):
        ij.concatenate([NET, None])
