"""What others on the machine see of this process."""

import ctypes
import os
import sys
from pathlib import Path

from streamcam.errors import redact_uri

ARG_START, ARG_END = 48 - 3, 49 - 3
"""Where proc(5) has them, in what follows the name."""


def hide_passwords() -> None:
    """Take passwords out of the command line that `ps` shows to everybody. Linux only: elsewhere they stay there."""
    if not sys.platform.startswith("linux") or not any(_shown(a) != a for a in sys.argv):
        return
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    begin, size = int(fields[ARG_START]), int(fields[ARG_END]) - int(fields[ARG_START])
    arguments = ctypes.string_at(begin, size).split(b"\0")
    shown = b"\0".join(os.fsencode(_shown(os.fsdecode(a))) for a in arguments)
    ctypes.memmove(begin, shown[:size].ljust(size, b"\0"), size)


def _shown(argument: str) -> str:
    return redact_uri(argument) if "://" in argument else argument
