"""Hostile files for every codec: what they do must be an instjit error or a model.

``python -m tests.fuzz`` from the root of the checkout makes mutated files, the same ones for the
same seed; ``python -m tests.fuzz.atheris_target CODEC`` lets libFuzzer look for paths of its own;
``python -m tests.fuzz.damage CODEC WAY`` cuts and changes one file in every place.
"""

import sys
from pathlib import Path

TESTS = str(Path(__file__).parents[1])
if TESTS not in sys.path:
    sys.path.append(TESTS)  # the models and goldens of the other tests
