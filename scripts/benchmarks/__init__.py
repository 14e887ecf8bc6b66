"""The points of `scripts/bench`, a module each: measure, then say it as a table."""
