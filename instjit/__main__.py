"""``python -m instjit``."""

from __future__ import annotations

import sys

from instjit.cli import main

sys.exit(main())
