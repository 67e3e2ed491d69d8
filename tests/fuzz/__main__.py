"""``python -m tests.fuzz``: mutated files through every codec. Exit code 1 if one broke a rule."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from .campaign import CODECS, Share, mutated, work
from .verdict import judge

FILES = 200_000
FOLDER = Path(tempfile.gettempdir()) / "instjit-fuzz"
PIECES = 8
"""Shares of a codec: more than processes, so that no one waits long for the last."""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--codec", action="append", choices=CODECS, help="only these")
    parser.add_argument("--files", type=int, default=FILES, help=f"per codec, default {FILES}")
    parser.add_argument("--seed", type=int, default=1, help="another one makes other files")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one file, with its traceback")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"for what is found, {FOLDER}")
    return parser.parse_args(argv)


def main() -> int:
    """Share the files out, and print a line a codec."""
    options = arguments()
    codecs = options.codec or CODECS
    if options.only is not None:
        return _only(codecs, options.seed, options.only)
    began = time.monotonic()
    pieces = [range(piece, options.files, PIECES) for piece in range(PIECES)]
    failed = False
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        running = {
            codec: [
                pool.submit(work, codec, options.seed, piece, options.folder) for piece in pieces
            ]
            for codec in codecs
        }
        for codec, several in running.items():
            shares = [future.result() for future in several]
            print(summary(shares), flush=True)
            for number, sentence in (found for share in shares for found in share.found):
                failed = True
                again = f"python -m tests.fuzz --codec {codec} --seed {options.seed}"
                print(f"  {sentence}\n    again: {again} --only {number}", flush=True)
    print(f"{time.monotonic() - began:.1f} s")
    return int(failed)


def summary(shares: Sequence[Share]) -> str:
    """One line: files, how they ended, files a second and process, memory gained."""
    kinds = sum((share.kinds for share in shares), Counter[str]())
    files = kinds.total()
    ends = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())
    speed = files / max(1e-9, sum(share.seconds for share in shares))
    growth = max(share.growth for share in shares) >> 20
    return f"{shares[0].codec}: {files:,} files ({ends}), {speed:,.0f}/s a process, +{growth} MiB"


def _only(codecs: Sequence[str], seed: int, number: int) -> int:
    for codec in codecs:
        content = mutated(codec, seed, number)
        print(f"{codec}, {len(content)} bytes: {content[:2000]!r}")
        print(judge(codec, content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
