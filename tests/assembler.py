"""ptxas, NVIDIA's assembler: what a kernel's PTX takes of a multiprocessor. No GPU is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path

USES = {
    "registers": r"Used (\d+) registers",
    "stack": r"(\d+) bytes stack frame",
    "spilled": r"(\d+) bytes spill stores",
    "shared": r"(\d+) bytes smem",
}
"""What is read from the assembler's report."""


@cache
def ptxas() -> str | None:
    """The assembler of the NVIDIA packages, on the path or in /usr/local/cuda; or None."""
    installed = sorted(Path(sysconfig.get_paths()["purelib"]).glob("nvidia/*/bin/ptxas"))
    places = [*map(str, installed), "ptxas", "/usr/local/cuda/bin/ptxas"]
    return next((found for place in places if (found := shutil.which(place))), None)


def assembled(text: str, cc: tuple[int, int], folder: Path) -> dict[str, int]:
    """Registers, stack, spills and static shared memory, in bytes, by ``ptxas``.

    Raises
    ------
    FileNotFoundError
        There is no ptxas.
    ValueError
        It refuses the text.
    """
    program = ptxas()
    if program is None:
        raise FileNotFoundError("no ptxas")
    path = folder / "kernel.ptx"
    path.write_text(text)
    words = [program, "-v", f"-arch=sm_{cc[0]}{cc[1]}", str(path), "-o", f"{path}.cubin"]
    result = subprocess.run(words, capture_output=True, text=True)
    if result.returncode:
        raise ValueError(result.stderr)
    found = {name: re.search(pattern, result.stderr) for name, pattern in USES.items()}
    return {name: int(match.group(1)) if match else 0 for name, match in found.items()}
