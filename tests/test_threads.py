"""How many threads a call may use, and Numba's pool under other layers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import instjit as ij
from instjit import threads


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


@pytest.mark.parametrize("wrong", [0, -1, True, np.True_, np.False_, "2", 1.0, np.float32(2), [1]])
def test_a_count_that_is_none_is_refused(wrong) -> None:
    for arguments in ((wrong, None), (None, wrong)):
        with pytest.raises(ij.InputError) as caught:
            threads.checked(*arguments)
        assert (caught.value.kind, caught.value.fields) == ("InvalidThreadCount", {"count": wrong})


def test_launch_leaves_the_environment_as_it_was(monkeypatch) -> None:
    for value in (None, "ACTIVE"):
        if value is None:
            monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        else:
            monkeypatch.setenv("OMP_WAIT_POLICY", value)
        before = dict(os.environ)
        threads.launch.__wrapped__()
        assert dict(os.environ) == before


def test_threads_that_launch_at_once_take_turns_and_restore(monkeypatch) -> None:
    from numba.np.ufunc import parallel

    inside, seen = [], []

    def slow() -> None:
        inside.append(1)
        time.sleep(0.01)
        seen.append((len(inside), os.environ["OMP_WAIT_POLICY"]))
        inside.pop()

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(parallel, "_launch_threads", slow)
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(threads.launch.__wrapped__) for _ in range(8)]
    assert [future.result() for future in done] == [None] * 8
    assert seen == [(1, "PASSIVE")] * 8
    assert "OMP_WAIT_POLICY" not in os.environ


def test_launch_bears_that_the_setting_goes_meanwhile(monkeypatch) -> None:
    from numba.np.ufunc import parallel

    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(parallel, "_launch_threads", lambda: os.environ.pop("OMP_WAIT_POLICY"))
    threads.launch.__wrapped__()
    assert "OMP_WAIT_POLICY" not in os.environ


def test_limited_never_exceeds_numbas_pool_and_restores() -> None:
    import numba

    before = numba.get_num_threads()
    with threads.limited(10**6) as granted:
        assert 1 <= granted <= numba.config.NUMBA_NUM_THREADS
        assert numba.get_num_threads() == granted
    assert numba.get_num_threads() == before

    def fail() -> None:
        with threads.limited(1):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert numba.get_num_threads() == before


SEVERAL = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import instjit
from instjit import launch, threads

launch.PARALLEL_SECONDS = 0.0
threads.available = lambda: 2
weights = np.random.default_rng(0).normal(size=(5, 7))
model = instjit.Model([7, 5], [instjit.Dot(0, 1, 0, "TANH")], [weights], feature_size=7)
kernel = instjit.compile(model)
rows = np.random.default_rng(1).normal(size=(500, 7)).astype(np.float32)
wanted = instjit.reference.run(model, rows)
with ThreadPoolExecutor(8) as pool:
    results = list(pool.map(lambda _: kernel.predict(rows), range(400)))
print(threads.layer(), all((result == wanted).all() for result in results))
"""


@pytest.mark.parametrize("layer", ["workqueue", "omp"])
def test_several_python_threads_share_a_kernel_on_every_layer(layer) -> None:
    environment = os.environ | {"NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-c", SEVERAL]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"Numba has no {layer} layer here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [layer, "True"]
