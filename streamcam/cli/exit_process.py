"""Ends the process, even if a thread cannot be ended."""

import atexit
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from streamcam.cli.standard_streams import flush_standard_streams
from streamcam.errors import StuckError

RESTART_CODE = 70
"""The exit code when a thread hangs or a device is lost, and a new process may help (EX_SOFTWARE in sysexits.h)."""

NO_WINDOW_CODE = 3
"""The exit code of a run in which a source gave frames but no window: it was too short, or its times are wrong."""

CLOSE_S = 10.0
"""How many seconds closing files and sockets may take after a thread has hung."""


def exit_process(code: int) -> NoReturn:
    """End the process at once: by now, everything is closed that has to be.

    Python's own end takes seconds where PyTorch is loaded, and aborts where a thread hangs in a driver. What packages
    have registered to be done at the end is done here, but not while a thread is left that it might wait for.
    """
    if threading.active_count() == 1:
        atexit._run_exitfuncs()
    flush_standard_streams()
    os._exit(code)


@contextmanager
def exit_if_stuck() -> Iterator[None]:
    """End the process if closing hangs after a `StuckError` in this block.

    A dead disk, say, hangs the thread that writes to it, and later the closing of its files.
    """
    try:
        yield
    except StuckError as e:
        timer = threading.Timer(CLOSE_S, _exit_unclosed, [str(e)])
        timer.daemon = True
        timer.start()
        raise


def _exit_unclosed(reason: str) -> None:
    print(f"streamcam: {reason}; what it was writing could not be finished", file=sys.stderr)
    exit_process(RESTART_CODE)
