"""Arrays of a caller that are used as they are: rows to read, outputs and flat buffers to write."""

from __future__ import annotations

from typing import Any

import numpy as np

from instjit.arithmetic import FloatArray
from instjit.errors import InputError, Problem

FLOAT32 = np.dtype(np.float32)


def is_rows(X: Any, width: int) -> bool:
    """Whether X can be read in place as it is: the quick answer to the usual case."""
    if type(X) is not np.ndarray or X.dtype is not FLOAT32 or X.ndim != 2:
        return False
    return X.shape[1] == width and X.flags.c_contiguous and X.flags.aligned


def flat_rows(buffer: Any, width: int) -> FloatArray:
    """Flat buffers as (rows, width); that of a single row may be longer."""
    if not isinstance(buffer, np.ndarray) or buffer.ndim not in (1, 2):
        got = f"{type(buffer).__name__} of {np.ndim(buffer)} dimensions"
        sentence = f"the buffer must be a float32 array of (rows, {width}) or ({width},), got {got}"
        raise InputError(Problem("OutputMismatch", sentence))
    if buffer.shape[-1] < width:
        sentence = f"the buffer has {buffer.shape[-1]} slots a row, the model needs {width}"
        fields = {"buffer_size": buffer.shape[-1], "required_size": width}
        raise InputError(Problem("ComputationBufferTooSmall", sentence, fields=fields))
    flat = buffer[None, :width] if buffer.ndim == 1 else buffer
    return output(flat, (len(flat), width), "the buffer")


def output(out: Any, shape: tuple[int, ...], name: str = "out", where: str = "") -> FloatArray:
    """``out`` when it can be written to as it is, a new array for None.

    ``where`` ends what a refusal wants, such as " on the host".
    """
    if out is None:
        return np.empty(shape, np.float32)
    wanted = f"{name} must be a writable C-contiguous float32 array of shape {shape}{where}"
    if not isinstance(out, np.ndarray):
        raise InputError(Problem("OutputMismatch", f"{wanted}, got {type(out).__name__}"))
    if out.dtype != np.float32 or out.shape != shape or not out.flags.carray:
        kind = "" if out.flags.carray else ", not C-contiguous and writable"
        sentence = f"{wanted}, got {out.dtype} {out.shape}{kind}"
        raise InputError(Problem("OutputMismatch", sentence))
    return out
