"""Mutated files through every codec, and whether what looks for faults would see one."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from fuzz import campaign, rnn0_file, seeds, verdict

import instjit as ij
from instjit.formats import FORMATS
from instjit.formats.extras import NONE

ROOT = Path(__file__).parents[1]


def test_no_mutated_file_breaks_a_rule(tmp_path) -> None:
    """200,000 files per codec, in about a minute of two processes."""
    done = python("-m", "tests.fuzz", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split(" files")[0] for line in done.stdout.splitlines()[:3]] == [
        f"{codec}: 200,000" for codec in campaign.CODECS
    ]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=900
    )


def test_a_file_is_made_again_from_its_number() -> None:
    first, again = (
        [campaign.mutated(codec, 1, number) for codec in campaign.CODECS for number in range(50)]
        for _ in range(2)
    )
    other = [
        campaign.mutated(codec, 2, number) for codec in campaign.CODECS for number in range(50)
    ]
    assert first == again
    assert sum(a == b for a, b in zip(first, other, strict=True)) < 15


@pytest.mark.parametrize("codec", campaign.CODECS)
def test_mutated_files_get_everywhere(codec) -> None:
    """To models as to refusals: mutations that only made rubbish would find nothing."""
    kinds = Counter(
        verdict.judge(codec, campaign.mutated(codec, 3, number), number) for number in range(3000)
    )
    assert kinds["Model"] > 150
    assert len(kinds) >= {"instmodel": 4, "rmd1": 8, "rnn0": 6}[codec]


@pytest.mark.parametrize("codec", campaign.CODECS)
def test_every_codec_has_seeds_that_load(codec) -> None:
    assert sum(verdict.judge(codec, seed) == "Model" for seed in seeds.seeds(codec)) >= 10


def test_digests_are_made_right_again() -> None:
    content = bytearray(seeds.complete_rnn0())
    weights = next(blob for blob in rnn0_file.blobs(content) if blob.name == b"weights")
    content[weights.offset] ^= 1
    refused = verdict.judge("rnn0", bytes(content))
    rnn0_file.repair(content)
    assert (refused, verdict.judge("rnn0", bytes(content))) == ("BadBounds", "Model")


def _fails(content, limits=None):
    raise KeyError("planted")


def _overflows(content, limits=None):
    return _overflows(content)


def _warns(content, limits=None):
    warnings.warn("planted", RuntimeWarning, stacklevel=1)


def _forgets(content, limits=None):
    """A decoder that sees a different model every time."""
    _forgets.calls += 1
    return ij.Model([1], [ij.Activate(0, "RELU" if _forgets.calls % 2 else "TANH")], feature_size=1)


_forgets.calls = 0


def _is_slow(content, limits=None):
    return sum(k for k in range(10**6)) and FORMATS["instmodel"].decode(content)


def _quotes(content, limits=None):
    raise ij.FormatError(ij.Problem("ParseError", "x" * 10**6))


@pytest.mark.parametrize(
    ("decode", "sentence"),
    [
        (_fails, "KeyError"),
        (_overflows, "RecursionError"),
        (_warns, "RuntimeWarning"),
        (_forgets, "decoded again"),
        (_is_slow, "CPU time"),
        (_quotes, "a sentence of 1000000 characters"),
    ],
)
def test_a_planted_fault_is_seen(monkeypatch, decode, sentence) -> None:
    json = FORMATS["instmodel"].encode
    broken = replace(FORMATS["rmd1"], decode=decode, encode=json, extras=lambda content: NONE)
    formats = MappingProxyType({**FORMATS, "rmd1": broken})
    monkeypatch.setattr(verdict, "FORMATS", formats)
    monkeypatch.setattr(verdict, "SECONDS", 0.02)
    with pytest.raises(verdict.Violation, match=sentence):
        verdict.judge("rmd1", seeds.complete_json())


HANG = """
import time
from tests.fuzz import campaign
campaign.WATCH = 0.1
watch = campaign.Watch()
watch.number = 1
try:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        pass
except campaign.Violation as found:
    watch.stop()
    print(found)
"""


def test_a_file_that_hangs_is_interrupted() -> None:
    """In a process of its own: the signal is for all of a process."""
    assert python("-c", HANG).stdout == "hangs: more than 0.05 s of CPU time\n"


def test_what_was_found_is_told_and_kept(monkeypatch, tmp_path) -> None:
    broken = replace(FORMATS["rmd1"], decode=_fails)
    monkeypatch.setattr(verdict, "FORMATS", MappingProxyType({**FORMATS, "rmd1": broken}))
    share = campaign.Share("rmd1")
    campaign.judge_number(share, 1, 7, tmp_path)
    assert share.found == [(7, "KeyError: 'planted'")]
    assert (tmp_path / "rmd1-1-7").read_bytes() == campaign.mutated("rmd1", 1, 7)


FOUND = {
    "a signalling NaN in float64 warned when it was rounded": (
        "rmd1",
        b"RMD1\1\0\1\0\1\0\0\0\1\0\0\0\1\0\0\0"
        b"\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        b"\1\0\0\0\0\0\xf0\x7f" + bytes(8),
        "Model",
    ),
    "a validation row of a wrong width ended in a TypeError": (
        "instmodel",
        seeds.complete_json().replace(b'"inputs":[[1.0,', b'"inputs":[['),
        "ValidationInputSizeMismatch",
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_fuzzing_found_stays_fixed(name) -> None:
    codec, content, outcome = FOUND[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verdict.judge(codec, content) == outcome


@pytest.mark.parametrize("codec", campaign.CODECS)
def test_atheris_runs_to_its_end(monkeypatch, tmp_path, codec) -> None:
    pytest.importorskip("atheris")
    monkeypatch.setenv("INSTJIT_FUZZ", str(tmp_path))
    done = python("-m", "tests.fuzz.atheris_target", codec, "-runs=1000", "-seed=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{codec}: 1,000 runs in ")
    assert len(list((tmp_path / f"corpus-{codec}").iterdir())) >= len(seeds.seeds(codec))
