"""Memory that is free, but which the C library keeps: given back, as networks of 100 MB come and go in these tests.

Once a large block was freed, glibc takes such blocks from its heap, where a small one that lives on keeps all that lies
below it. No network lives on, and the process grows to gigabytes all the same.
"""

import ctypes
import gc
import sys

import psutil

STEP = 32_000_000
"""By so many bytes the process may grow before it is looked after."""


class Keeper:
    def __init__(self) -> None:
        self._process, self._least = psutil.Process(), 0

    def look(self) -> None:
        """Give back what is free, if the process has grown."""
        if self._process.memory_info().rss < self._least + STEP or not sys.platform.startswith("linux"):
            return
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        self._least = self._process.memory_info().rss
