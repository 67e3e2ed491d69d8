"""The two forms of a body: JSON, and float32 numbers as they lie in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from instjit import InputError, Model
from instjit.inputs import as_line, as_rows

from .refused import Refused

Rows = npt.NDArray[np.float32]
Answer = Callable[[Rows], bytes]

JSON, RAW = "application/json", "application/octet-stream"


def rows_of(form: str, body: bytes, model: Model, most: int) -> tuple[Rows, Answer]:
    """Rows of finite numbers that fit the model, at most ``most``, and how to write the outputs."""
    if form not in FORMS:
        message = f"the body must be {JSON} or {RAW}, not {form or 'without a Content-Type'}"
        raise Refused(415, "UnknownContentType", message)
    rows, answer = FORMS[form](body, model, most)
    if not np.isfinite(rows).all():
        row, column = (int(place) for place in np.argwhere(~np.isfinite(rows))[0])
        name = f" ({model.features[column]})" if model.features else ""
        message = f"row {row}, column {column}{name} is not finite in float32"
        raise Refused(422, "NotFinite", message)
    return rows, answer


def _json(body: bytes, model: Model, most: int) -> tuple[Rows, Answer]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "NotJson", f"the body is no JSON: {error}") from None
    match document:
        case {"rows": list(rows), **rest} if not rest:
            _bound(len(rows), most)
            return _fitting(as_rows, model, rows), lambda outputs: _dumped("outputs", outputs)
        case {"row": list(row), **rest} if not rest:
            line = _fitting(as_line, model, row)
            return line[None], lambda outputs: _dumped("output", outputs[0])
    raise Refused(422, "NotRows", 'the body must be {"rows": [[...], ...]} or {"row": [...]}')


def _raw(body: bytes, model: Model, most: int) -> tuple[Rows, Answer]:
    width = 4 * model.input_size
    count, rest = divmod(len(body), width)
    if rest:
        message = f"the body has {len(body)} bytes, a row of {model.input_size} numbers has {width}"
        raise Refused(422, "NotRows", message)
    _bound(count, most)
    return np.frombuffer(body, "<f4").reshape(count, -1 if count else model.input_size), _bytes


FORMS: dict[str, Callable[[bytes, Model, int], tuple[Rows, Answer]]] = {JSON: _json, RAW: _raw}


def _fitting(convert: Callable[[Model, Any], Rows], model: Model, values: Any) -> Rows:
    try:
        return convert(model, values)
    except InputError as error:
        raise Refused(422, error.kind, str(error)) from None


def _bound(count: int, most: int) -> None:
    if count > most:
        raise Refused(422, "TooManyRows", f"the body has {count} rows, a request may have {most}")


def _dumped(name: str, outputs: Rows) -> bytes:
    """An output that is not finite becomes null: JSON has no other word for it."""
    return orjson.dumps({name: outputs}, option=orjson.OPT_SERIALIZE_NUMPY)


def _bytes(outputs: Rows) -> bytes:
    return outputs.astype("<f4", copy=False).tobytes()
