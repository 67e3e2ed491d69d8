from __future__ import annotations

import json
import os

import numba
import numpy as np
import pytest
from cli_cases import NET, saved

import instjit
from instjit.cli import main
from instjit.commands import arguments
from instjit.kernels.target import LEVELS

KERNEL = instjit.compile(NET)


@pytest.mark.parametrize("target", ["source", "cpu"])
def test_dump_prints_the_source_and_nothing_else(tmp_path, capsys, target):
    assert main(["dump", saved(tmp_path), "--target", target]) == 0
    assert capsys.readouterr() == (KERNEL.source.text, "")


@pytest.mark.parametrize(("target", "words"), [("llvm", "define i"), ("asm", "\tretq\n")])
def test_dump_writes_what_the_source_becomes(tmp_path, capsys, target, words):
    path = tmp_path / "text"
    assert main(["dump", saved(tmp_path), "--target", target, "-o", str(path)]) == 0
    assert capsys.readouterr() == ("", "")
    assert words in path.read_text()


def test_the_option_knows_every_level():
    assert set(arguments.LEVELS) == set(LEVELS)


@pytest.mark.parametrize("level", LEVELS)
def test_source_is_written_for_any_level(tmp_path, capsys, level):
    assert main(["dump", saved(tmp_path), "--level", level]) == 0
    assert f"level {level}, " in capsys.readouterr().out.splitlines()[0]


def test_machine_code_is_only_dumped_for_a_level_of_this_cpu(tmp_path, capsys):
    here = instjit.compile(NET).source.level.name
    other = "avx512" if here == "neon" else "neon"
    assert main(["dump", saved(tmp_path), "--target", "asm", "--level", other]) == 2
    assert f"level {other} needs another" in capsys.readouterr().err


def test_dump_keeps_an_existing_file(tmp_path, capsys):
    (tmp_path / "text").write_text("precious")
    words = ["dump", saved(tmp_path), "-o", str(tmp_path / "text")]
    assert main(words) == 2
    assert (tmp_path / "text").read_text() == "precious"
    assert main([*words, "--force"]) == 0
    assert (tmp_path / "text").read_text() == KERNEL.source.text


def test_dump_of_a_wrong_model_writes_nothing(tmp_path, capsys):
    (tmp_path / "wrong.json").write_text("{}")
    assert main(["dump", str(tmp_path / "wrong.json"), "-o", str(tmp_path / "text")]) == 3
    assert os.listdir(tmp_path) == ["wrong.json"]


def test_info_names_versions_cpu_and_threads(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts) == [
        "instjit", "python", "numba", "llvmlite", "numpy", "orjson",
        "cpu", "level", "lanes", "bf16", "l2_bytes", "threads",
    ]  # fmt: skip
    assert facts["instjit"] == instjit.__version__
    assert facts["numba"] == numba.__version__
    assert facts["numpy"] == np.__version__
    assert facts["level"] == KERNEL.source.level.name
    assert facts["threads"] >= 1


def test_info_is_a_line_for_each_fact(capsys):
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert lines[0].split() == ["instjit", instjit.__version__]
