"""The hottest loop of a disassembled kernel."""

from __future__ import annotations

import disassembler
import pytest

TEXT = """
.L_x_0:
        /*0010*/                   S2R R1, SR_TID.X ;
        /*0020*/                   LDG.E R2, desc[UR4][R2.64] ;
.L_x_1:
        /*0030*/                   LDS.128 R4, [R2] ;
        /*0040*/                   FFMA R4, R5, R6, R7 ;
        /*0050*/                   FFMA R4, R5, R6, R7 ;
        /*0060*/                   FFMA R4, R5, R6, R7 ;
        /*0070*/                   IADD3 R1, R1, 0x1, RZ ;
        /*0080*/              @!P0 BRA `(.L_x_1) ;
        /*0090*/                   FFMA R4, R5, R6, R7 ;
        /*00a0*/               @P1 BRA `(.L_x_0) ;
        /*00b0*/                   FFMA R4, R5, R6, R7 ;
        /*00c0*/                   EXIT ;
"""


def test_the_hottest_loop_is_the_inner_one(monkeypatch, tmp_path) -> None:
    class Done:
        stdout = TEXT

    monkeypatch.setattr(disassembler, "nvdisasm", lambda: "nvdisasm")
    monkeypatch.setattr(disassembler.subprocess, "run", lambda *words, **options: Done)
    mix = disassembler.hottest(tmp_path / "kernel.cubin")
    assert (mix.fma, mix.shared, mix.wide, mix.far, mix.other) == (3, 1, 1, 0, 2)
    assert mix.share == 0.5


@pytest.mark.parametrize(("shared", "bound"), [(1, 0.8), (8, 0.25)])
def test_issue_or_shared_memory_bounds_the_rate(shared, bound) -> None:
    assert disassembler.Mix(8, shared, 0, 0, 2 - shared if shared < 2 else 0).bound == bound
