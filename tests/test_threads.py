"""How many threads a call may use, and Numba's pool under other layers."""

from __future__ import annotations

import os

import numpy as np
import pytest

import instjit as ij
from instjit import counted, threads


@pytest.fixture
def system(monkeypatch, tmp_path):
    """A machine of 64 CPUs whose affinity, cgroup files and environment are given."""

    def pretend(cpus: int = 64, files: dict[str, str] | None = None, **environment: str) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)), raising=False)
        monkeypatch.setattr(threads, "CGROUP", tmp_path)
        for name, text in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for name in ("INSTJIT_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        threads._quota.cache_clear()

    yield pretend
    threads._quota.cache_clear()


def v1(quota: str, period: str) -> dict[str, str]:
    return {"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, 64),
        ({"cpu.max": "max 100000\n"}, 64),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "900000 0\n"}, 64),
        ({"cpu.max": "garbage\n"}, 64),
        ({"cpu.max": ""}, 64),
        (v1("-1\n", "100000\n"), 64),
        (v1("400000\n", "100000\n"), 4),
        (v1("450000\n", "100000\n"), 5),
        ({"cpu/cpu.cfs_quota_us": "400000\n"}, 64),
    ],
)
def test_a_cgroups_quota_limits_the_threads(files, count, system) -> None:
    system(files=files)
    assert threads.available() == count


@pytest.mark.parametrize(
    ("environment", "count"),
    [
        ({}, 8),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"OMP_NUM_THREADS": "100"}, 8),
        ({"INSTJIT_THREADS": "2"}, 2),
        ({"INSTJIT_THREADS": "5", "OMP_NUM_THREADS": "1"}, 5),
        ({"INSTJIT_THREADS": "0"}, 8),
        ({"INSTJIT_THREADS": "-2"}, 8),
        ({"INSTJIT_THREADS": "many", "OMP_NUM_THREADS": "4"}, 4),
        ({"OMP_NUM_THREADS": ""}, 8),
        ({"OMP_NUM_THREADS": "9" * 5000}, 8),
        ({"INSTJIT_THREADS": "0" * 5000 + "3"}, 3),
        ({"INSTJIT_THREADS": "\u00b2"}, 8),
    ],
)
def test_the_environment_limits_the_threads(environment, count, system) -> None:
    system(cpus=8, **environment)
    assert threads.available() == count


def test_affinity_limits_the_threads(system) -> None:
    system(cpus=1, files={"cpu.max": "800000 100000\n"}, INSTJIT_THREADS="8")
    assert threads.available() == 1


@pytest.mark.parametrize(
    ("given", "default", "count"), [(None, None, None), (None, 3, 3), (2, 3, 2)]
)
def test_a_calls_own_count_goes_before_the_kernels(given, default, count) -> None:
    assert threads.checked(given, default) == count


def test_numpys_whole_numbers_are_counts() -> None:
    assert threads.checked(np.int64(2)) == 2
    assert type(threads.checked(np.uint8(2))) is int


def test_a_huge_count_is_all_there_are(system) -> None:
    system(cpus=8)
    assert threads.granted(threads.checked(2**70)) == threads.granted(10**5000) == 8


WRONG = [0, -1, True, np.True_, np.False_, "2", 1.0, np.float32(2), [1], float("inf"), -(10**5000)]


@pytest.mark.parametrize("wrong", WRONG, ids=counted.shown)
def test_a_count_that_is_none_is_refused(wrong) -> None:
    for arguments in ((wrong, None), (None, wrong)):
        with pytest.raises(ij.InputError) as caught:
            threads.checked(*arguments)
        assert (caught.value.kind, caught.value.fields) == ("InvalidThreadCount", {"count": wrong})
