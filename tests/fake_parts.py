"""Parts of ``bench.gpu`` that misbehave, for processes of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from bench.gpu_check import BROKEN, FOUND, LEFT_OUT
from bench.gpu_part import DOING, Message

SCRIPT = ("good", "left out", "wrong", "hangs", "good", "crashes", "breaks", "good")


def script(names: list[str], skip: int = 0) -> Iterator[Message]:
    """The checks of SCRIPT, from number ``skip`` on."""
    for number, behaviour in enumerate(SCRIPT[skip:], skip):
        name = f"{number} {behaviour}"
        if behaviour == "left out":
            yield LEFT_OUT, {"name": name, "reason": "not here"}
            continue
        yield DOING, {"name": name}
        if behaviour == "hangs":
            time.sleep(60)
        if behaviour == "crashes":
            os._exit(3)
        yield FOUND, {"name": name, "reason": "" if behaviour == "good" else "off"}
        if behaviour == "breaks":
            yield BROKEN, {}
            return


def fails_to_start(names: list[str], skip: int = 0) -> Iterator[Message]:
    """No check at all."""
    raise OSError("no\nlibrary")
    yield DOING, {}
