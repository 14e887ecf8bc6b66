"""Wait for what another thread or process does."""

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], bool], what: str, *, timeout_s: float = 30) -> None:
    """Look every 10 ms; what never comes fails the test."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"no {what} within {timeout_s:.0f} s"
        time.sleep(0.01)
