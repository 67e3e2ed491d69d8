"""A pickle is about as large as a binary file of the model, and smaller than any other file."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from nets import dense
from test_packed_model import BINARIES, TEXTS

import instjit as ij
from instjit.gpu.kernel import CudaKernel
from instjit.kernel import Kernel
from instjit.load import decode

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = {
    **TEXTS,
    **BINARIES,
    **{name: (EXAMPLES / name).read_bytes() for name in ("digits/digits.json",
                                                         "simulation/policy.json")},
}  # fmt: skip

MORE = 40
"""Bytes that a pickle may have more than a file. 45 to 63 name what opens it and its arguments,
10 are ours (version, checksum, flags); a layer takes 18 to 20 less than in RMD1."""

TENTH = 400
"""Bytes of a file from which on a pickle has at most a tenth more."""

KINDS = {"model": lambda model: model, "kernel": Kernel, "cuda": CudaKernel}


def is_small_enough(pickled: int, file: int) -> bool:
    return pickled <= file + MORE and (file < TENTH or pickled < 1.1 * file)


@pytest.mark.parametrize("kind", ["model", "kernel"])
@pytest.mark.parametrize("name", FILES)
def test_of_every_file(name: str, kind: str) -> None:
    size = len(pickle.dumps(KINDS[kind](decode(FILES[name]))))
    assert is_small_enough(size, len(FILES[name]))


@pytest.mark.parametrize("name", TEXTS)
def test_of_text_it_is_smaller(name: str) -> None:
    assert len(pickle.dumps(Kernel(decode(TEXTS[name])))) < 0.65 * len(TEXTS[name])


@pytest.mark.parametrize("protocol", range(4, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "widths",
    [[1, 1], [4, 1], [40, 1], [8, 10], [64, 1], [8, 24, 8, 1], [250, 300, 200], [1] * 40,
     [2] * 300, [3] * 1000],
    ids=lambda widths: f"{widths[0]}-{widths[-1]}, {len(widths)}",
)  # fmt: skip
def test_of_a_chain(widths, dtype: str, kind: str, protocol: int, tmp_path) -> None:
    net = dense(*widths)
    model = ij.Model(
        net.buffers, net.instructions, net.weights, net.bias, feature_size=widths[0], dtype=dtype
    )
    ij.save(model, tmp_path / "net.rmd1")
    content = (tmp_path / "net.rmd1").read_bytes()
    size = len(pickle.dumps(KINDS[kind](decode(content)), protocol))
    assert is_small_enough(size, len(content))


@pytest.mark.parametrize("text", ["0", "7", "-1", "42", "0.5"])
def test_of_json_of_short_numbers_it_is_half(text: str) -> None:
    row = "[" + ",".join([text] * 200) + "]"
    document = {
        "feature_size": 200,
        "buffer_sizes": [200, 200],
        "bias": ["ROW"],
        "weights": [["ROW"] * 200],
        "instructions": [{"type": "DOT", "input": 0, "output": 1, "weights": 0}],
    }
    content = json.dumps(document, separators=(",", ":")).replace('"ROW"', row).encode()
    assert len(pickle.dumps(Kernel(decode(content)))) < 0.5 * len(content)


def test_options_take_their_names_and_values() -> None:
    def size(**options: Any) -> int:
        return len(pickle.dumps(Kernel(dense(20, 10), **options)))

    assert size(threads=2) <= size() + 12
    assert size(level="generic", precision="bf16") <= size() + 32


@pytest.mark.parametrize("outputs", [1, 1000])
def test_a_batch_predictor_takes_its_kernel_and_a_name(outputs: int) -> None:
    kernel = Kernel(dense(3, outputs))
    more = len(pickle.dumps(ij.BatchPredictor(kernel))) - len(pickle.dumps(kernel))
    assert more <= 90
