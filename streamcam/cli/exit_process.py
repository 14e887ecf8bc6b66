"""How the program ends, also where a thread cannot be ended."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from streamcam.cli.standard_streams import flush_standard_streams
from streamcam.errors import StuckError

RESTART_CODE = 70
"""The exit code when a thread hangs or a device is lost (EX_SOFTWARE in sysexits.h): a new process may do better."""

NO_WINDOW_CODE = 3
"""The exit code of a run in which a source gave frames and no window: it was too short, or its times were wrong."""

CLOSE_S = 10.0
"""How long files and sockets may take to be closed when a thread hangs."""


def exit_process(code: int) -> NoReturn:
    """Exit, also where a thread sits in a camera or a network and cannot be woken: Python would abort on it."""
    flush_standard_streams()
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)


@contextmanager
def exit_if_stuck() -> Iterator[None]:
    """What hangs may hang what is closed because of it (a disk that is gone): then the process ends all the same."""
    try:
        yield
    except StuckError as e:
        timer = threading.Timer(CLOSE_S, _leave_unclosed, [str(e)])
        timer.daemon = True
        timer.start()
        raise


def _leave_unclosed(why: str) -> None:
    print(f"streamcam: {why}; what it was writing could not be finished", file=sys.stderr)
    exit_process(RESTART_CODE)
