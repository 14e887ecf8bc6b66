"""Memory that is free, but which the C library keeps: given back, as networks of 100 MB come and go in these tests.

Once a large block was freed, glibc takes such blocks from its heap, where a small one that lives on keeps all that lies
below it. No network lives on, and the process grew to 4 GB all the same.
"""

import ctypes
import gc
import sys

import psutil

STEP = 32_000_000
"""By so many bytes the process may grow before it is looked after."""
M_MMAP_THRESHOLD, LARGE = -3, 1 << 20
"""glibc's name for the size from which a block is mapped by itself, and that size in bytes, which then stays."""


class Keeper:
    def __init__(self) -> None:
        self._process, self._least = psutil.Process(), 0
        self._libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
        if self._libc is not None:
            self._libc.mallopt(M_MMAP_THRESHOLD, LARGE)

    def look(self) -> None:
        """Give back what is free, if the process has grown."""
        if self._libc is None or self._process.memory_info().rss < self._least + STEP:
            return
        gc.collect()
        self._libc.malloc_trim(0)
        self._least = self._process.memory_info().rss
