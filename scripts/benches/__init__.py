"""The points of `scripts/bench.py`, a module each: measure, then say it as a table."""
