"""Model -> Kernel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, cast, overload

from instjit import threads as thread_count
from instjit.budget import budget_of, fastest_within, sample_of
from instjit.counted import shown
from instjit.errors import CompileError, Problem
from instjit.formats.limits import DEFAULT, Limits
from instjit.inputs import checked_passes
from instjit.kernel import Kernel
from instjit.kernels import target as targets
from instjit.kernels import units
from instjit.kernels.multiplier import wide_step
from instjit.kernels.target import Level
from instjit.load import load
from instjit.lower import lower
from instjit.model import Model
from instjit.passes import PASSES, Pass, apply
from instjit.progress import announced
from instjit.validate import check
from instjit.variant import forms_of

if TYPE_CHECKING:
    from instjit.gpu.kernel import CudaKernel
    from instjit.gpu.tensor_form import Precision

Modelish: TypeAlias = "Model | str | os.PathLike[str] | bytes | IO[bytes] | dict[str, Any]"


TARGETS = ("cpu", "cuda")
PRECISIONS = {
    "cpu": ("float32", "bf16x6", "bf16x3", "bf16", "auto:1e-5"),
    "cuda": ("float32", "bf16x3", "bf16", "tf32"),
}


@overload
def compile(
    model: Modelish,
    *,
    target: Literal["cpu"] = "cpu",
    precision: str = ...,
    sample: Any = ...,
    threads: int | None = ...,
    level: str | None = ...,
    warm: str | Iterable[str] = ...,
    passes: Iterable[Pass] = ...,
    limits: Limits = ...,
) -> Kernel: ...


@overload
def compile(
    model: Modelish,
    *,
    target: Literal["cuda"],
    precision: str = ...,
    passes: Iterable[Pass] = ...,
    limits: Limits = ...,
) -> CudaKernel: ...


def compile(
    model: Modelish,
    *,
    target: str = "cpu",
    precision: str = "float32",
    sample: Any = None,
    threads: int | None = None,
    level: str | None = None,
    warm: str | Iterable[str] = (),
    passes: Iterable[Pass] = PASSES,
    limits: Limits = DEFAULT,
) -> Kernel | CudaKernel:
    """Compile a model to a kernel.

    Parameters
    ----------
    model
        A model, or what ``instjit.load`` takes.
    target
        "cpu", or "cuda": a ``CudaKernel``, whose text and PTX need no GPU. It knows no ``threads``,
        ``level`` or ``warm``.
    precision
        "float32": the numerics contract, the same bits on every machine.
        For "cuda" also "bf16x3", "bf16" and "tf32": products of at least 8 outputs and 16 inputs
        are worked out on tensor cores, with float32 sums, and everything else in float32.
        For "cpu" also "bf16", on AMX or avx512_bf16, and "bf16x3" and "bf16x6", on AMX: so are
        products of at least 16 outputs and 16 inputs of a batch; ``row``, ``single`` and ``inline``
        are float32.
        Relative to the outputs, errors are near 1e-7 (bf16x6), 1e-5 (bf16x3), 1e-3 (tf32) and 1e-2
        (bf16) at most, except that bf16x3 and bf16x6 may make NaN of an infinity and all but tf32
        of numbers beyond 3.39e38. A model without such a product is refused, as is a machine
        without the unit.
        "auto:1e-5", for "cpu", takes the fastest one that this machine has and whose outputs for
        the sample differ from float64's by no more than that; ``Kernel.precision`` says which.
    sample
        Rows for "auto:...", as ``Kernel.predict`` takes them; the inputs of the model's validation
        rows by default.
    threads
        Threads of a ``predict`` that names none; all that the process may use by default.
    level
        Blocking: "avx512", "avx2", "neon" or "generic"; what the CPU has by default.
    warm
        Forms to compile now instead of on first use, one or several: "row", "slots", "buffer".
        Batches always are, and rows where the precision is float32.
    passes
        Program passes to run, in order; results have the same bits with any choice.
    limits
        Bounds on what a file may ask for, as for ``instjit.load``, and on the lines of the source.

    Raises
    ------
    FormatError, ModelError
        As ``instjit.load`` and ``instjit.validate``.
    CompileError
        Another target, precision or level than this machine offers, or no precision within the
        budget of "auto:...". LimitExceeded: the source is longer than
        ``limits.source_lines``.
    InputError
        UnknownForm: ``warm``. InvalidThreadCount: ``threads``. InputType: ``passes``. What
        ``predict`` says of ``sample``.
    """
    _one_of("target", target, TARGETS)
    budget = _checked_precision(target, precision, sample)
    thread_count.checked(threads)
    forms, chosen = forms_of(warm), checked_passes(passes)
    if target == "cuda":
        _nothing_for_the_cpu(threads=threads, level=level, warm=forms or None)
    if isinstance(model, Model):
        check(model)
    else:
        model = load(model, limits=limits)
    if target == "cuda":
        return _for_cuda(model, chosen, limits, cast("Precision", precision))
    blocking, valid = targets.choose(level), model

    def made(precision: str) -> Kernel:
        kernel = Kernel(valid, level, threads, chosen, precision)
        _check_length(kernel, limits)
        return kernel

    with announced("instjit: compiling ..."):
        if budget is None:
            kernel = made(precision)
        else:
            kernel = _auto(budget, model, sample, blocking, chosen, made)
        kernel.warm(forms)
    return kernel


def _checked_precision(target: str, precision: str, sample: Any) -> float | None:
    """The budget of "auto:...", None for a precision by name."""
    budget = budget_of(precision) if target == "cpu" else None
    if budget is None:
        _one_of("precision", precision, PRECISIONS[target])
        if sample is not None:
            sentence = f'sample is for precision "auto:...", not "{precision}"'
            raise CompileError(Problem("Unsupported", sentence))
    return budget


def _auto(
    budget: float,
    model: Model,
    sample: Any,
    level: Level,
    passes: tuple[Pass, ...],
    made: Callable[[str], Kernel],
) -> Kernel:
    """Tries what makes a difference to the model on this machine, then float32."""
    rows = sample_of(model, sample)
    steps = apply(lower(model), passes).steps
    narrowed = units.precisions(level) if any(map(wide_step, steps)) else ()
    return fastest_within(budget, rows, (*narrowed, "float32"), made)


def _for_cuda(
    model: Model, passes: tuple[Pass, ...], limits: Limits, precision: Precision
) -> CudaKernel:
    from instjit.gpu.kernel import CudaKernel

    kernel = CudaKernel(model, passes, precision=precision)
    _check_length(kernel, limits)
    return kernel


def _nothing_for_the_cpu(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            sentence = f'{name} is for target "cpu", not "cuda"'
            raise CompileError(Problem("Unsupported", sentence, fields={name: value}))


def _check_length(kernel: Kernel | CudaKernel, limits: Limits) -> None:
    lines = kernel.source.text.count("\n")
    if lines > limits.source_lines:
        sentence = f"the source has {lines} lines, the limit is {limits.source_lines}"
        fields = {"name": "source_lines", "actual": lines, "max": limits.source_lines}
        raise CompileError(Problem("LimitExceeded", sentence, fields=fields))


def _one_of(name: str, got: str, known: tuple[str, ...]) -> None:
    if got not in known:
        offered = " or ".join(f'"{one}"' for one in known)
        sentence = f"{name} {shown(got)} is not offered, only {offered}"
        raise CompileError(Problem("Unsupported", sentence, fields={name: got}))
