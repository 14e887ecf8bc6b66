"""A check whether a window can be opened."""

import os
import socket
import sys

from streamcam.errors import StreamcamError


def require_display() -> None:
    """Check that there is an X display: without one, OpenCV's window would abort the whole process.

    Raises:
        StreamcamError: DISPLAY is not set, or nothing answers there.
    """
    display = os.environ.get("DISPLAY", "")
    if not sys.platform.startswith("linux"):
        return
    if not display:
        raise StreamcamError("no display: DISPLAY is not set (use `streamcam view --print`, or ssh -X)")
    if not _reachable(display):
        raise StreamcamError(f"no display: nothing answers at DISPLAY={display} (use `streamcam view --print`)")


def has_display() -> bool:
    """Return whether there is an X display; always true on systems other than Linux."""
    try:
        require_display()
    except StreamcamError:
        return False
    return True


def _reachable(display: str) -> bool:
    """Return whether an X server answers at host:number[.screen]."""
    host, _, number = display.rpartition(":")
    number = number.partition(".")[0]
    if not number.isdecimal():
        return False
    if host and host != "unix":
        # An X server's TCP port is 6000 plus the display's number.
        addresses: list[tuple[int, str | tuple[str, int]]] = [(socket.AF_INET, (host, 6000 + int(number)))]
    else:
        path = f"/tmp/.X11-unix/X{number}"
        addresses = [(socket.AF_UNIX, path), (socket.AF_UNIX, "\0" + path)]  # the latter: Linux's abstract socket
    return any(_answers(family, address) for family, address in addresses)


def _answers(family: int, address: str | tuple[str, int]) -> bool:
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address)
        except (OSError, OverflowError):  # OverflowError: no such port
            return False
    return True
