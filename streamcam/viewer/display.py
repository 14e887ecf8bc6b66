"""Whether a window can be opened here."""

import os
import socket
import sys

from streamcam.errors import StreamcamError


def require_display() -> None:
    """OpenCV's window would abort the whole process where there is no display.

    Raises:
        StreamcamError: there is none, or it cannot be reached.
    """
    display = os.environ.get("DISPLAY", "")
    if not sys.platform.startswith("linux"):
        return
    if not display:
        raise StreamcamError("no display: DISPLAY is not set (use `streamcam view --print`, or ssh -X)")
    if not _reachable(display):
        raise StreamcamError(f"no display: nothing answers at DISPLAY={display} (use `streamcam view --print`)")


def _reachable(display: str) -> bool:
    """Whether an X server answers at host:number[.screen]."""
    host, _, number = display.rpartition(":")
    number = number.partition(".")[0]
    if not number.isdecimal():
        return False
    if host and host != "unix":
        addresses: list[tuple[int, str | tuple[str, int]]] = [(socket.AF_INET, (host, 6000 + int(number)))]
    else:
        path = f"/tmp/.X11-unix/X{number}"
        addresses = [(socket.AF_UNIX, path), (socket.AF_UNIX, "\0" + path)]
    return any(_answers(family, address) for family, address in addresses)


def _answers(family: int, address: str | tuple[str, int]) -> bool:
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address)
        except (OSError, OverflowError):  # the latter: no such port
            return False
    return True
