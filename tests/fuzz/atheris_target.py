"""``python -m tests.fuzz.atheris_target CODEC -runs=5000000``: libFuzzer looks for new paths.

Other arguments go to libFuzzer. The corpus, a log and what breaks a rule are kept in a folder
(``INSTJIT_FUZZ``, or one below the system's for temporary files). At the end, one line on stdout;
the exit code is libFuzzer's, 0 when nothing was found. Needs the extra ``fuzz``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("INSTJIT_FUZZ") or Path(tempfile.gettempdir()) / "instjit-fuzz")
LONGEST = {"instmodel": 1024, "rmd1": 1024, "rnn0": 4096}
"""Bytes of a file: 50 layers are as good as 200, and take a quarter of the time."""

WRITTEN, DEEP = 8, 64
"""One in so many models is written and read again, one in so many files asked for everything: both
take a multiple of the time of decoding, which is what libFuzzer is to explore."""

LEAKY = ["instjit.formats.json_memory"]
"""Instrumented, a comparison of an array with a number loses memory: 3 KB for every file."""

CHILD = "--in-this-process"
DONE = re.compile(r"^#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\S+)", re.MULTILINE)

WORDS = {
    "rmd1": (b"RMD1", b"RMD1\x01\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\x01\0\0\0"),
    "rnn0": (
        *(b"RNN\0", b"RNN\0\x01\0\0\0", b"layer_meta", b"weights", b"biases", b"model.name"),
        *(b"BMK\x01", b"S5D0", b"VIZ\0", b"VIZX", b"\xc1\x01", b"\xff" * 8, b"\0" * 32),
    ),
}


def main(argv: Sequence[str]) -> int:
    """Run libFuzzer in a child, whose output goes to a log, and say in a line what came of it."""
    codec, *options = argv
    corpus, log = FOLDER / f"corpus-{codec}", FOLDER / f"{codec}.log"
    prepare(codec, corpus)
    command = [sys.executable, "-m", "tests.fuzz.atheris_target", CHILD, codec, str(corpus)]
    command += [
        f"-dict={FOLDER / f'{codec}.dict'}",
        f"-artifact_prefix={FOLDER}/{codec}-",
        *(
            f"-max_len={LONGEST[codec]}",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ),
        *options,
    ]
    began = time.monotonic()
    with log.open("w") as file:
        result = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    seconds = time.monotonic() - began
    text = log.read_text(errors="replace")
    done = DONE.search(text)
    if done is None:
        print(f"{codec}: ended with {result.returncode}, see {log}\n{text[-3000:]}")
        return result.returncode or 1
    runs, edges, features, size = done.groups()
    print(
        f"{codec}: {int(runs):,} runs in {seconds:.0f} s ({int(runs) / seconds:,.0f}/s), "
        f"coverage {edges} edges and {features} features, corpus {size}, log {log}"
    )
    return result.returncode


def prepare(codec: str, corpus: Path) -> None:
    """Write the seeds and the dictionary."""
    from . import json_text
    from .seeds import seeds

    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(codec)):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = WORDS.get(codec) or (*json_text.KEYS, *json_text.NUMBERS, *json_text.OTHERS)
    quoted = ["".join(f"\\x{byte:02x}" for byte in word) for word in words if 0 < len(word) < 64]
    lines = "\n".join(f'"{word}"' for word in quoted)
    (corpus.parent / f"{codec}.dict").write_text(lines + "\n")


def fuzz(codec: str, options: Sequence[str]) -> None:
    """Hand this process to libFuzzer; it does not come back."""
    import atheris

    import instjit.ops  # and all below it, as they are: it is the codecs that are explored

    with atheris.instrument_imports(include=["instjit.formats"], exclude=LEAKY):
        import instjit.formats
    import instjit.validate  # noqa: F401

    from .verdict import judge

    warnings.simplefilter("error")
    numbers = count()

    def one_input(content: bytes) -> None:
        judge(codec, content, next(numbers), WRITTEN, DEEP)

    atheris.Setup(
        [sys.argv[0], *options],
        one_input,
        custom_mutator=mutator(codec, lambda *old: atheris.Mutate(*old)),
    )
    atheris.Fuzz()


def mutator(codec: str, theirs: Callable[[bytes, int], bytes]) -> Callable[..., bytes]:
    """LibFuzzer's mutations and, as often, ours; then the digests are right more often than not."""
    from . import rnn0_file
    from .campaign import AWARE
    from .seeds import seeds

    def mutate(content: bytes, longest: int, seed: int) -> bytes:
        rng = Random(seed)
        if rng.random() < 0.5:
            changed = bytearray(content)
            AWARE[codec](changed, rng, seeds(codec))
        else:
            changed = bytearray(theirs(content, longest))
        if codec == "rnn0" and rng.random() < 0.6:
            rnn0_file.repair(changed)
        return bytes(changed[:longest])

    return mutate


if __name__ == "__main__":
    if sys.argv[1] == CHILD:
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(sys.argv[1:]))
