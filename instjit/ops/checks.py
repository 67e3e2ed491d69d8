"""What an instruction's ``check`` writes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from instjit.arrays import is_ragged, row_widths
from instjit.errors import Problem

if TYPE_CHECKING:
    from instjit.arithmetic import FloatArray
    from instjit.model import Model


class Checks:
    """Collects the problems of one instruction.

    Every look-up reports an index that is out of range and gives None, so that a check whose
    operand is faulty can be skipped.

    Parameters
    ----------
    model, number, kind
        The model, the number of the instruction, its name on the wire.
    widths
        What ``widths`` found so far, by the identity of the matrix; to share between instructions.
    """

    def __init__(
        self, model: Model, number: int, kind: str, widths: dict[int, tuple[int, ...]] | None = None
    ) -> None:
        self.model = model
        self.number = number
        self.kind = kind
        self.problems: list[Problem] = []
        self._widths = {} if widths is None else widths

    def report(self, kind: str, message: str, **fields: Any) -> None:
        """Note a problem of this instruction; the sentence starts with its number and kind."""
        sentence = f"instruction {self.number} ({self.kind}): {message}"
        self.problems.append(Problem(kind, sentence, self.number, fields))

    def buffer(self, index: int, label: str) -> None:
        """Report a buffer number out of range."""
        if self.size(index) is None:
            count = len(self.model.buffers)
            message = f"{label} {index} is not a buffer, the model has {count}"
            self.report("BufferIndexOutOfBounds", message, label=label, index=index)

    def size(self, buffer: int) -> int | None:
        """Slots of a buffer, None where there is no such buffer."""
        buffers = self.model.buffers
        return buffers[buffer].size if 0 <= buffer < len(buffers) else None

    def same_size(self, position: int, buffer: int, output: int) -> None:
        """The buffer, input number ``position``, must be as wide as the output."""
        actual, expected = self.size(buffer), self.size(output)
        if actual is not None and expected is not None and actual != expected:
            self.report(
                "InputBufferSizeMismatch",
                f"buffer {buffer} holds {actual}, output buffer {output} holds {expected}",
                index=position,
                actual_size=actual,
                expected_size=expected,
            )

    def filled(self, buffer: int) -> None:
        """The buffer must have a slot: a sum or a softmax of nothing has no value."""
        if self.size(buffer) == 0:
            self.report("InvalidInputLayerSize", f"buffer {buffer} holds no slots", index=buffer)

    def weights(self, weights: int) -> bool:
        """Whether there are weights of that number; if not, that is reported."""
        if 0 <= weights < len(self.model.weights):
            return True
        message = f"there are no weights {weights}, the model has {len(self.model.weights)}"
        self.report("WeightsIndexOutOfBounds", message, index=weights)
        return False

    def matrix(self, weights: int, output: int, source: int) -> None:
        """The matrix must have a row for each output slot and a column for each input slot."""
        matrix = self.model.weights[weights]
        rows, columns = self.size(output), self.size(source)
        if rows is not None and len(matrix) != rows:
            self.report(
                "WeightsRowSizeMismatch",
                f"weights {weights} give {len(matrix)} values, buffer {output} holds {rows}",
                weights_rows=len(matrix),
                output_size=rows,
            )
        if columns is not None:
            self._columns(weights, source, columns)

    def parameters(self, vector: int, buffer: int) -> None:
        """Parameter vector ``vector`` must hold one number, or one for each slot of the buffer."""
        vectors = self.model.parameters
        if not 0 <= vector < len(vectors):
            message = f"there are no parameters {vector}, the model has {len(vectors)}"
            self.report("ParametersIndexOutOfBounds", message, index=vector)
            return
        size, count = self.size(buffer), len(vectors[vector])
        if size is not None and count not in (1, size):
            self.report(
                "ParametersSizeMismatch",
                f"parameters {vector} hold {count} values, buffer {buffer} holds {size}",
                index=vector,
                params_size=count,
                layer_size=size,
            )

    def widths(self, matrix: FloatArray) -> tuple[int, ...]:
        """The different lengths of a matrix's rows, found once for all instructions of a model."""
        if not is_ragged(matrix):
            return row_widths(matrix)
        known = self._widths.get(id(matrix))
        if known is None:
            known = self._widths[id(matrix)] = row_widths(matrix)
        return known

    def _columns(self, weights: int, source: int, columns: int) -> None:
        matrix = self.model.weights[weights]
        wrong = next((width for width in self.widths(matrix) if width != columns), None)
        if wrong is not None:
            self.report(
                "WeightsColumnSizeMismatch",
                f"weights {weights} take {wrong} values, buffer {source} holds {columns}",
                input_index=source,
                weights_columns=wrong,
                input_size=columns,
            )
