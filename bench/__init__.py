"""Speed against other runtimes: ``python -m bench``, ``pytest bench --benchmark-only``."""
