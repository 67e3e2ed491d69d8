"""Kernel: the compiled callable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from typing import Literal as OneOf

from instjit import launch
from instjit import threads as thread_count
from instjit.arithmetic import FloatArray
from instjit.arrow.streaming import Streaming
from instjit.cost import Cost, cost
from instjit.errors import InputError, Problem
from instjit.inplace import flat_rows, is_rows, output
from instjit.inputs import as_line, as_rows, checked_passes, checked_slots
from instjit.kernels import build, target, units
from instjit.kernels.packing import Floats, Integers
from instjit.kernels.source import Source
from instjit.kernels.target import Level
from instjit.lower import Variant
from instjit.model import Model
from instjit.passes import PASSES, Pass
from instjit.population import Population, as_population
from instjit.portable import Options, Portable, unusual
from instjit.variant import Compiled, forms_of

if TYPE_CHECKING:
    from instjit.kernels.direct import Direct

USUAL = {"level": None, "threads": None, "passes": PASSES, "precision": "float32"}
"""Options that a pickle leaves out."""


class Kernel(Portable, Streaming):
    """A model compiled for the CPU; ``instjit.compile`` makes one.

    Immutable, and safe to call from several threads at once. Kernels are equal when their models
    and options are; a pickle holds these alone, and what opens it compiles for its own CPU, once in
    a process, at the first call. Results are float32 and depend on the row alone: the same bits for
    any batch size, place in the batch and number of threads, in ``predict`` and in ``row``. With
    another ``precision`` that holds for ``predict`` and ``run_buffer`` on one kind of machine (AMX
    and avx512_bf16 add in different orders); ``row``, ``single`` and ``inline`` are float32.

    Attributes
    ----------
    model
        The model it was made of.
    cost
        Work of one row (``instjit.Cost``).
    input_size, output_size
        Columns of a row of input and of output.
    required_memory
        Slots of the flat buffer of a row, all buffers one after the other.
    precision
        What the wide products of a batch are worked out in: "float32", "bf16", "bf16x3", "bf16x6".
    """

    kind = ""

    __slots__ = (
        "__weakref__",
        "_direct",
        "_direct_row",
        "_level",
        "_passes",
        "_threads",
        "_variants",
        "cost",
        "input_size",
        "model",
        "output_size",
        "precision",
        "required_memory",
    )  # fmt: skip

    model: Model
    cost: Cost
    input_size: int
    output_size: int
    required_memory: int
    precision: str
    _level: Level | str | None
    _passes: tuple[Pass, ...]
    _direct: Direct | None
    _direct_row: Direct | None
    _threads: int | None
    _variants: dict[Variant | OneOf["row"], Compiled]

    def __init__(
        self,
        model: Model,
        level: Level | str | None = None,
        threads: int | None = None,
        passes: Iterable[Pass] | None = None,
        precision: str = "float32",
    ) -> None:
        for name, value in {
            "model": model,
            "cost": cost(model),
            "input_size": model.input_size,
            "output_size": model.output_size,
            "required_memory": model.required_memory,
            "precision": precision,
            "_level": level,
            "_passes": PASSES if passes is None else checked_passes(passes),
            "_threads": threads,
            "_variants": {},
            "_direct": None,
            "_direct_row": None,
        }.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Kernel is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Kernel is immutable: {name} cannot be deleted")

    @property
    def _asked(self) -> Options:
        level = self._level.name if isinstance(self._level, Level) else self._level
        given = {"level": level, "threads": self._threads, "passes": self._passes}
        return unusual({**given, "precision": self.precision}, USUAL)

    def __repr__(self) -> str:
        form = self._variant("output")
        steps = f"{len(self.model.instructions)} instructions"
        precision = "" if self.precision == "float32" else f" {self.precision}, row float32"
        name = f"{form.source.target} {form.level.name}{precision}"
        compiled_for = f"{name}, 0x{form.source.digest[:8]}"
        return f"Kernel({self.input_size} -> {self.output_size}, {steps}, {compiled_for})"

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the input columns, empty when the model has none."""
        return self.model.features or ()

    @property
    def source(self) -> Source:
        """The generated text; ``str(kernel.source)`` or ``kernel.source.text`` to read it."""
        return self._variant("output").source

    def predict(
        self,
        X: Any,
        out: FloatArray | None = None,
        threads: int | None = None,
        slots: tuple[int, int] | None = None,
    ) -> FloatArray:
        """Outputs of a batch.

        Parameters
        ----------
        X
            (rows, input_size); float32 and C-contiguous is used in place, anything else is
            converted. Or a list of 2-D arrays, one for each leading buffer.
        out
            float32 C-contiguous array of the result's shape to write to; it may be ``X`` itself.
        threads
            At most so many threads, at most what the process may use. Small batches use one anyway.
        slots
            (start, stop): these slots of the flat buffer instead of the output buffer.

        Returns
        -------
        (rows, output_size) float32, or (rows, stop - start) with ``slots``; ``out`` when given.

        Raises
        ------
        InputError
            InputShape, ValidationInputSizeMismatch: the shape of ``X``. InvalidThreadCount.
            InvalidSliceRange, SliceRangeOutOfBounds: ``slots``. OutputMismatch: ``out``.
        """
        usable = None if threads is None else thread_count.checked(threads)
        if slots is None:
            direct = self._direct or self._prepare_direct()
            done: FloatArray | None = direct.rows(X, out)
            if done is None:
                limit = thread_count.granted(usable or self._threads)
                limit = limit if usable is None else -limit  # of this call alone
                done = direct.batch(X, out, limit)
            if done is not None:
                return done
        usable = usable or self._threads
        start, stop = (0, self.output_size) if slots is None else checked_slots(self.model, slots)
        rows = X if is_rows(X, self.input_size) else as_rows(self.model, X)
        result = output(out, (len(rows), stop - start))
        if slots is None and rows is not X and self._straight(rows, result, limit):
            return result
        form = self._variant("output" if slots is None else "slots")
        launch.run_batch(form, rows, result, start, stop, usable)
        return result

    __call__ = predict

    def row(self, x: Any, out: FloatArray | None = None) -> FloatArray:
        """Output of one row, by the shortest path.

        Parameters
        ----------
        x
            (input_size,); float32 and C-contiguous is used in place.
        out
            float32 array of (output_size,) to write to.

        Always float32, whatever the kernel's precision.

        Raises
        ------
        InputError
            As ``predict``.
        """
        direct = self._direct_row or self._prepare_row()
        done: FloatArray | None = direct.row(x, out)
        if done is None and direct.wide:
            done = direct.wide_row(x, out, thread_count.granted(self._threads))
        if done is not None:
            return done
        line = as_line(self.model, x)
        result = output(out, (self.output_size,))
        if direct.row(line, result) is None and direct.wide_row(line, result, 1) is None:
            launch.run_batch(self._row_variant(), line[None], result[None], 0, self.output_size, 1)
        return result

    def single(self, x: Any) -> float:
        """Last element of the output of one row."""
        return float(self.row(x)[-1])

    def run_buffer(self, buffer: FloatArray, threads: int | None = None) -> FloatArray:
        """Run on flat buffers in place.

        Parameters
        ----------
        buffer
            float32 C-contiguous (rows, required_memory), or one row of at least that many slots.
            The caller has put the input in the first ``input_size`` slots; slots that nothing
            writes keep what they hold.

        Returns
        -------
        ``buffer``.

        Raises
        ------
        InputError
            ComputationBufferTooSmall, OutputMismatch, InvalidThreadCount.
        """
        usable = thread_count.checked(threads, self._threads)
        flat = flat_rows(buffer, self.required_memory)
        launch.run_batch(self._variant("buffer"), flat, flat, 0, self.required_memory, usable)
        return buffer

    @property
    def inline(self) -> Any:
        """``f(x_row, out_row)`` for the user's own ``@njit`` code, ``prange`` loops included.

        Re-entrant. Both rows are float32 C-contiguous arrays of one dimension; the weights are
        frozen in.
        """
        return self._row_variant().inline

    @property
    def inline_of_constants(self) -> Any:
        """``f(x_row, out_row, k, n)``: as ``inline``, for the model whose constants are passed.

        They are this kernel's ``constants``, or a row of ``constants_of`` and its ``n``: float32
        and int32 C-contiguous arrays of one dimension. One function serves all models of one
        structure, a different one at every call if need be. Raises ValueError for rows or constants
        of a wrong length.
        """
        return self._row_variant().inline_of_constants

    @property
    def constants(self) -> tuple[Floats, Integers]:
        """The packed constants ``k`` and ``n`` of this model, read-only."""
        form = self._row_variant()
        return form.k, form.n

    def constants_of(self, models: Population | Iterable[Model]) -> tuple[Floats, Integers]:
        """The constants of many models for ``inline_of_constants``.

        Parameters
        ----------
        models
            Models with this one's buffers, instructions, features, maps and shapes of constants. Of
            a ``Population`` the arrays are taken as they are, in one step.

        Returns
        -------
        ``k``, a new (models, floats) float32 array with the constants of a model in each row, and
        ``n``, which all of them share.

        Raises
        ------
        InputError
            StructureMismatch, or InputType for anything but models.
        """
        several = as_population(self.model, models)
        form = self._row_variant()
        return form.constants_of(several), form.n

    def dump(self, form: str = "llvm") -> str:
        """Compiled code of the batch function: "llvm" or "asm".

        Raises
        ------
        InputError
            UnknownForm.
        """
        if form not in ("llvm", "asm"):
            sentence = f'a kernel dumps "llvm" or "asm", not {form!r}'
            raise InputError(Problem("UnknownForm", sentence, fields={"form": form}))
        return build.text(self.source, form)

    def with_weights(self, model: Model) -> Kernel:
        """The same kernel for a model of the same structure: other numbers, no new compilation.

        Raises
        ------
        InputError
            StructureMismatch, or InputType for anything but a model.
        ModelError
            The model has problems.
        """
        from instjit.retrained import check_model, check_structure

        check_model(model)
        other = Kernel(model, self._level, self._threads, self._passes, self.precision)
        check_structure(self.source.digest, other.source.digest)
        return other

    def warm(self, forms: str | Iterable[str] = ()) -> None:
        """Compile now what would be compiled on first use.

        Parameters
        ----------
        forms
            "slots", "buffer", "row", besides batches, which are always compiled, as are float32
            kernels' rows. Rows of another precision have float32 weights of their own, which a
            kernel that only predicts batches never packs.

        Raises
        ------
        InputError
            UnknownForm.
        """
        wanted = forms_of(forms)
        self._variant("output").warm()
        self._prepare_direct()
        for form in wanted:
            if form == "row":
                self._prepare_row()
            else:
                self._variant("slots" if form == "slots" else "buffer").warm()

    def _straight(self, rows: FloatArray, result: FloatArray, limit: int) -> bool:
        """Whether machine code has taken rows that were converted."""
        direct = self._direct or self._prepare_direct()
        taken = direct.rows(rows, result) is not None
        return taken or direct.batch(rows, result, limit) is not None

    def _variant(self, variant: Variant) -> Compiled:
        known = self._variants.get(variant)
        if known is None:
            made = self._compiled(variant, self.precision)
            known = self._variants.setdefault(variant, made)
        return known

    def _row_variant(self) -> Compiled:
        """What makes single rows: always float32."""
        if self.precision == "float32":
            return self._variant("output")
        known = self._variants.get("row")
        if known is None:
            known = self._variants.setdefault("row", self._compiled("output", "float32"))
        return known

    def _compiled(self, variant: Variant, precision: str) -> Compiled:
        level = self._level if isinstance(self._level, Level) else target.choose(self._level)
        unit = units.multiplier(precision, level)
        return Compiled(self.model, self.cost, level, variant, self._passes, unit)

    def _prepare_direct(self) -> Direct:
        form = self._variant("output")
        direct = form.direct(launch.reach(form))
        object.__setattr__(self, "_direct", direct)
        return direct

    def _prepare_row(self) -> Direct:
        several = self._direct or self._prepare_direct()
        direct = several if self.precision == "float32" else self._row_variant().direct(None)
        object.__setattr__(self, "_direct_row", direct)
        return direct
