"""A kernel travels as its model and options, and works on the other side, compiled there once."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nets import dense
from pickle_matrix import CALLS, ROWS, WAYS, compilations, installed, net

import instjit as ij
from instjit import envelope, portable
from instjit.gpu.kernel import CudaKernel
from instjit.kernel import Kernel
from instjit.kernels import kept
from instjit.kernels.recent import Recent
from instjit.kernels.target import LEVELS, detect
from instjit.passes import PASSES, drop_dead

HERE = Path(__file__).parent
CPUS = {"avx2": "haswell", "generic": "x86-64-v2"}
LOOK = """
import json, pickle, sys
kernel = pickle.loads(bytes.fromhex(sys.stdin.read()))
light = not {"numba", "llvmlite"} & set(sys.modules)
try:
    found = kernel.predict([[1, 2, 3, 4, 5]] * 3).tobytes().hex(), kernel.source.level.name
except Exception as error:
    found = type(error).__name__, str(error)
print(json.dumps([light, *found]))
"""


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return ij.compile(net(), threads=1, warm=["row"])


@pytest.fixture
def elsewhere(monkeypatch) -> None:
    """As in a process that knows no kernels."""
    monkeypatch.setattr(portable, "_here", type(portable._here)())


def opened(saved: bytes, **environment: str) -> list[Any]:
    """What ``LOOK`` sees in a fresh process: no Numba when it is opened, outputs, level."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_CPU")}
    done = subprocess.run(
        [sys.executable, "-c", LOOK],
        input=saved.hex(),
        env={**clean, **environment},
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_unpickled_kernel_gives_the_same_bits(kernel, protocol: int, elsewhere) -> None:
    other = pickle.loads(pickle.dumps(kernel, protocol))
    portable._here.clear()
    assert other == kernel
    assert other.model == kernel.model
    assert other.source.digest == kernel.source.digest
    np.testing.assert_array_equal(other.predict(ROWS), kernel.predict(ROWS))
    np.testing.assert_array_equal(other.row(ROWS[3]), kernel.row(ROWS[3]))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_kernel_is_its_own_copy(kernel, copied: Callable[[Any], Any]) -> None:
    assert copied(kernel) is kernel
    assert copied([kernel])[0] is kernel


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threads": 2},
        {"level": "generic"},
        {"passes": ()},
        {"passes": (drop_dead,), "threads": 1, "level": "generic"},
    ],
    ids=", ".join,
)
def test_options_travel_as_they_were_asked_for(options: dict[str, Any], elsewhere) -> None:
    kernel = Kernel(net(), **options)
    saved = pickle.dumps(kernel)
    portable._here.clear()
    other = pickle.loads(saved)
    assert other is not kernel
    assert other == kernel
    assert other._asked == kernel._asked
    assert other.source.level.name == options.get("level", detect().name)
    assert (other._threads, other._passes) == (
        options.get("threads"), options.get("passes", PASSES)
    )  # fmt: skip


EQUALS = {
    "usual": lambda: Kernel(net()),
    "the usual by name": lambda: Kernel(net(), None, None, PASSES, "float32"),
    "threads": lambda: Kernel(net(), threads=2),
    "level": lambda: Kernel(net(), LEVELS["generic"]),
    "passes": lambda: Kernel(net(), passes=()),
    "other numbers": lambda: Kernel(net(7)),
    "cuda": lambda: CudaKernel(net()),
    "cuda, thread": lambda: CudaKernel(net(), form="thread"),
}


@pytest.mark.parametrize("one", EQUALS)
@pytest.mark.parametrize("two", EQUALS)
def test_kernels_are_equal_when_models_and_options_are(one: str, two: str) -> None:
    first, second = EQUALS[one](), EQUALS[two]()
    same = one == two or {one, two} == {"usual", "the usual by name"}
    assert (first == second) is same
    assert (hash(first) == hash(second)) is same
    assert len({first, second}) == (1 if same else 2)


def test_a_kernel_equals_nothing_else(kernel) -> None:
    assert kernel != kernel.model
    assert kernel != "kernel"
    assert kernel.with_weights(net(7)) == ij.compile(net(7), threads=1)


@pytest.fixture
def nothing_compiled(monkeypatch) -> None:
    monkeypatch.setattr(kept, "_codes", Recent(4))


def test_a_thousand_copies_are_one_kernel_compiled_once(elsewhere, nothing_compiled) -> None:
    saved = pickle.dumps(Kernel(dense(6, 11, 2)))
    portable._here.clear()
    first = pickle.loads(saved)
    for _ in range(1000):
        again = pickle.loads(saved)
        assert again is first
    first.row([0] * 6)
    assert pickle.loads(saved).predict([[0] * 6]).shape == (1, 2)
    assert compilations() == 1


def test_threads_that_unpickle_at_once_compile_once(elsewhere, nothing_compiled) -> None:
    saved = pickle.dumps(Kernel(dense(6, 13, 2)))
    portable._here.clear()
    found, start = [], threading.Barrier(8)

    def work() -> None:
        start.wait()
        found.append(pickle.loads(saved).predict(np.ones((9, 6), np.float32)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {outputs.tobytes() for outputs in found} == {found[0].tobytes()}
    assert compilations() == 1


def test_a_kernel_that_nobody_holds_is_forgotten(elsewhere) -> None:
    saved = pickle.dumps(Kernel(net(11)))
    assert pickle.loads(saved) is not None
    assert len(portable._here) == 0


def test_a_kernel_is_opened_without_numba_and_for_its_own_cpu(kernel) -> None:
    saved = pickle.dumps(Kernel(net()))
    wanted = kernel.predict([[1, 2, 3, 4, 5]] * 3).tobytes().hex()
    assert opened(saved) == [True, wanted, detect().name]
    for level, cpu in CPUS.items():
        if LEVELS[level].width <= detect().width and detect().name in ("avx512", "avx2"):
            lowered = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
            assert opened(saved, **lowered) == [True, wanted, level]


@pytest.mark.skipif(detect().name not in ("avx512", "avx2"), reason="x86 levels are lowered")
def test_a_level_that_was_asked_for_is_kept_and_refused_elsewhere() -> None:
    saved = pickle.dumps(Kernel(net(), detect().name))
    light, kind, sentence = opened(saved, NUMBA_CPU_NAME="x86-64-v2", NUMBA_CPU_FEATURES="")
    assert (light, kind) == (True, "CompileError")
    assert sentence == f"this CPU compiles for generic, level {detect().name} needs another one"


@pytest.fixture(scope="module")
def report() -> dict[str, list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, str(HERE / "pickle_matrix.py")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_processes_get_the_same_bits_and_compile_once(way: str, report, kernel) -> None:
    if not installed(way):
        pytest.skip("not installed")
    seen = report[way]
    model = net(5) if way == "fork before the first call" else net()
    wanted = kernel.with_weights(model).predict(ROWS).tobytes().hex()
    assert len(seen) == (1 if way == "cloudpickle" else CALLS)
    assert {one["outputs"] for one in seen} == {wanted}
    assert {one["level"] for one in seen} == {detect().name}
    assert {one["compilations"] for one in seen} == {1}
    assert not any(one["compiled_again"] for one in seen)
    if not way.startswith("fork"):
        assert seen[0]["numba_before"] is False


@pytest.mark.parametrize("kind", ["kernel", "model"])
@pytest.mark.parametrize("version", [0, 1, 3, 255])
def test_a_pickle_of_another_version_is_refused(version: int, kind: str, kernel) -> None:
    make, (content, *rest) = (kernel if kind == "kernel" else kernel.model).__reduce__()
    with pytest.raises(ij.FormatError, match="pickled by another release of instjit") as caught:
        make(bytes([version]) + content[1:], *rest, "more")
    assert caught.value.kind == "BadVersion"
    assert f"version {version} of its pickles; this one reads version 2" in str(caught.value)


@pytest.mark.parametrize("content", [1, None, "2", b""])
def test_what_does_not_begin_with_a_version_is_refused(content: Any) -> None:
    with pytest.raises(ij.FormatError, match="pickled by another release") as caught:
        ij.unpickled(content, (), b"")
    assert caught.value.kind == "BadVersion"


def sealed_anew(change: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Callable[..., Any]:
    """Damage to a structure under a checksum that is right."""

    def damage(content: bytes, numbers: bytes, *rest: Any) -> tuple[Any, ...]:
        structure, block = envelope.opened(content, numbers)
        return *envelope.sealed(change(structure), block), *rest

    return damage


def reflagged(flags: int) -> Callable[..., Any]:
    def damage(content: bytes, numbers: bytes, *rest: Any) -> tuple[Any, ...]:
        body = bytes([flags]) + content[envelope.HEAD :]
        sums = zlib.crc32(numbers, zlib.crc32(body)).to_bytes(4, "little")
        return content[:1] + sums + body, numbers, *rest

    return damage


DAMAGE: dict[str, tuple[Callable[..., Any], str]] = {
    "short": (lambda c, n, *rest: (c, n[:-4], *rest), "DamagedPickle"),
    "long": (lambda c, n, *rest: (c, n + b"more", *rest), "DamagedPickle"),
    "a bit of the structure": (lambda c, n, *rest: (c[:-1] + b"?", n, *rest), "DamagedPickle"),
    "the version alone": (lambda c, n, *rest: (c[:1], n, *rest), "DamagedPickle"),
    "no numbers": (lambda c, n, *rest: (c,), "DamagedPickle"),
    "numbers of another type": (lambda c, n, *rest: (c, None), "DamagedPickle"),
    "not deflated": (reflagged(envelope.SHORT_NUMBERS), "DamagedPickle"),
    "structure not deflated": (reflagged(envelope.SHORT_STRUCTURE), "DamagedPickle"),
    "another buffer": (sealed_anew(lambda s: (*s[:2], (5, 8, 3), *s[3:])), "DamagedPickle"),
    "a buffer that is not there": (
        sealed_anew(lambda s: (*s[:3], (("DOT", 0, 9, 0, None),), *s[4:])), "BufferIndexOutOfBounds"
    ),
    "half": (sealed_anew(lambda s: s[:2]), "DamagedPickle"),
    "none": (sealed_anew(lambda s: ()), "DamagedPickle"),
    "another class": (sealed_anew(lambda s: ("os", *s[1:])), "DamagedPickle"),
    "another option": (sealed_anew(lambda s: (s[0], (("tile", 2),), *s[2:])), "DamagedPickle"),
    "another instruction": (sealed_anew(lambda s: (*s[:3], (("NO", 1),), *s[4:])),
                            "DamagedPickle"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_an_error_and_no_kernel(name: str, kernel) -> None:
    damage, kind = DAMAGE[name]
    make, content = kernel.__reduce__()
    with pytest.raises(ij.InstjitError) as caught:
        make(*damage(*content))
    assert kind in {problem.kind for problem in caught.value.problems}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [Kernel, lambda model: model], ids=["kernel", "model"])
def test_a_flipped_bit_never_gives_another_model(make: Callable[[Any], Any], elsewhere) -> None:
    """Of the pickle itself too: where that can still be opened, the checksum is of its content."""
    right = make(dense(3, 2))
    saved = pickle.dumps(right)
    for place in range(8 * len(saved)):
        flipped = bytearray(saved)
        flipped[place // 8] ^= 1 << place % 8
        try:
            found = pickle.loads(flipped)
        except Exception:  # any may come from pickle
            continue
        assert not isinstance(found, Kernel | ij.Model) or found == right, place


def test_a_cuda_kernel_travels_as_its_model_and_options(elsewhere) -> None:
    kernel = CudaKernel(dense(9, 20, 3), form="block")
    saved = pickle.dumps(kernel)
    assert pickle.loads(saved) is kernel
    portable._here.clear()
    other = pickle.loads(saved)
    assert other == kernel
    assert other.source.text == kernel.source.text


def test_a_cuda_kernel_says_that_there_is_no_gpu_where_it_came_to() -> None:
    light, kind, sentence = opened(pickle.dumps(CudaKernel(net())), CUDA_VISIBLE_DEVICES="")
    assert (light, kind) == (True, "CompileError")
    assert "CUDA" in sentence
