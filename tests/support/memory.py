"""Memory that is free, but that the C library keeps: given back, as networks of 100 MB come and go in these tests.

No network lives on, and the process grew to 4 GB all the same.
"""

import ctypes
import gc
import sys

import psutil

from streamcam.runtime.memory import trim_heap

STEP = 32_000_000
"""By so many bytes the process may grow before it is looked after."""
M_MMAP_THRESHOLD, LARGE = -3, 1 << 20
"""glibc's name for the size from which a block is mapped by itself, and that size in bytes, which then stays."""


class Keeper:
    def __init__(self) -> None:
        self._process, self._least = psutil.Process(), 0
        if sys.platform == "linux":
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)

    def look(self) -> None:
        """Give back what is free, if the process has grown."""
        if self._process.memory_info().rss < self._least + STEP:
            return
        gc.collect()
        trim_heap()
        self._least = self._process.memory_info().rss
