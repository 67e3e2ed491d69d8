"""CudaKernel: under the simulator, and what it says where there is no GPU."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_cases import NET, saved
from nets import dense

import instjit as ij
from instjit.cli import main
from instjit.gpu.kernel import CudaKernel
from instjit.gpu.tile import Tile

TESTS = Path(__file__).parent
MODEL = dense(4, 6, 3)
RANDOM = 100


def child(*words: str, **environment: str) -> str:
    """Standard output of a Python process of its own."""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    result = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_the_simulator_has_the_bits_of_the_reference() -> None:
    said = child(str(TESTS / "gpu_simulate.py"), str(RANDOM), NUMBA_ENABLE_CUDASIM="1")
    report = json.loads(said)
    assert report["wrong"] == []
    assert report["models"]["random"] == RANDOM
    assert report["models"]["golden"] > 100


def test_importing_and_writing_text_brings_no_numba() -> None:
    code = (
        "import sys, instjit, instjit.gpu.kernel\n"
        "model = instjit.Model([1], [instjit.Activate(0, 'TANH')], features=[])\n"
        "instjit.gpu.kernel.CudaKernel(model).source.text\n"
        "print([name for name in ('numba', 'llvmlite', 'cuda') if name in sys.modules])"
    )
    assert child("-c", code).strip() == "[]"


def _there_is_a_gpu() -> bool:
    from numba import cuda

    return bool(cuda.is_available())


@pytest.mark.parametrize(
    "call",
    [
        lambda kernel: kernel.predict(np.zeros((2, 4))),
        lambda kernel: kernel.warm(),
        lambda kernel: kernel.device_constants(),
    ],
)
def test_without_a_device_a_call_says_so(call) -> None:
    if _there_is_a_gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(ij.CompileError, match="no CUDA device to run on: ") as raised:
        call(ij.compile(MODEL, target="cuda"))
    assert raised.value.kind == "NoCuda"
    assert "\n" not in str(raised.value)


def test_without_numbas_cuda_a_call_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    import numba

    monkeypatch.delattr(numba, "cuda", raising=False)
    with pytest.raises(ij.CompileError, match=r"install instjit\[cuda\]") as raised:
        CudaKernel(MODEL).predict(np.zeros((2, 4)))
    assert raised.value.kind == "NoCuda"


def test_rows_are_checked_before_the_device() -> None:
    with pytest.raises(ij.InputError) as raised:
        CudaKernel(MODEL).predict(np.zeros((2, 5)))
    assert raised.value.kind == "ValidationInputSizeMismatch"


@pytest.mark.parametrize(
    "options", [{"threads": 2}, {"level": "avx2"}, {"warm": "row"}, {"precision": "half"}]
)
def test_options_of_the_cpu_are_refused(options) -> None:
    with pytest.raises(ij.CompileError) as raised:
        ij.compile(MODEL, target="cuda", **options)
    assert raised.value.kind == "Unsupported"


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(ij.CompileError, match='only "cpu" or "cuda"'):
        ij.compile(MODEL, target="opencl")


def test_what_compile_says_of_a_cuda_kernel() -> None:
    kernel = ij.compile(MODEL, target="cuda")
    assert isinstance(kernel, CudaKernel)
    assert (kernel.input_size, kernel.output_size) == (4, 3)
    assert repr(kernel) == (
        f"CudaKernel(4 -> 3, 2 instructions, cuda thread, 0x{kernel.source.digest[:8]})"
    )
    assert str(kernel.source).startswith('"""instjit kernel for cuda, a row a thread')
    assert kernel.cost == ij.cost(MODEL)


def test_a_kernel_pickles_as_its_model_and_options() -> None:
    kernel = CudaKernel(MODEL, form="block", tile=Tile(rows_each=2, outputs_each=8))
    copy = pickle.loads(pickle.dumps(kernel))
    assert copy.source == kernel.source
    assert copy.model == kernel.model


def test_weights_of_another_structure_are_refused() -> None:
    with pytest.raises(ij.InputError) as raised:
        CudaKernel(MODEL).with_weights(dense(4, 7, 3))
    assert raised.value.kind == "StructureMismatch"


def test_constants_that_no_device_function_holds_are_refused() -> None:
    with pytest.raises(ij.CompileError, match="device_function_of_constants") as raised:
        _ = CudaKernel(dense(100, 200, 3)).device_function
    assert raised.value.kind == "TooManyConstants"


def test_a_text_over_the_limit_is_refused() -> None:
    with pytest.raises(ij.CompileError) as raised:
        ij.compile(MODEL, target="cuda", limits=ij.Limits(source_lines=10))
    assert raised.value.kind == "LimitExceeded"


def test_dump_prints_the_text_and_nothing_else(tmp_path, capsys) -> None:
    assert main(["dump", saved(tmp_path), "--target", "cuda-source"]) == 0
    assert capsys.readouterr() == (ij.compile(NET, target="cuda").source.text, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "ptx", "--cc", "75"], "only 8.0 and later"),
        (["--target", "ptx", "--cc", "new"], "expected a compute capability"),
        (["--target", "cuda-source", "--cc", "90"], "--cc is for --target ptx"),
        (["--target", "cuda-source", "--level", "avx2"], "--level is not for"),
        (["--cc", "90"], "--cc is for --target ptx"),
        (["--precision", "tf32"], "'tf32' is not offered"),
        (["--target", "asm", "--precision", "tf32"], "'tf32' is not offered"),
        (["--target", "ptx", "--precision", "bf16x6"], "'bf16x6' is not offered"),
    ],
)
def test_dump_refuses_what_does_not_go_together(tmp_path, capsys, words, said) -> None:
    assert main(["dump", saved(tmp_path), *words]) == 2
    assert said in capsys.readouterr().err


def test_dump_of_ptx_under_the_simulator_ends_in_a_missing_part(tmp_path) -> None:
    code = "import sys; from instjit.cli import main; sys.exit(main(sys.argv[1:]) - 4)"
    child("-c", code, "dump", saved(tmp_path), "--target", "ptx", NUMBA_ENABLE_CUDASIM="1")
