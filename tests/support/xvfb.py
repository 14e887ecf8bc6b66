"""An X server without a screen, and what its screen would show. Needs the Debian packages xvfb and xdotool."""

import ctypes
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamcam.records import Image
from tests.support.paths import ROOT

START_S = 20.0


@dataclass(frozen=True)
class Display:
    """A running X server."""

    name: str
    """What DISPLAY is set to."""
    framebuffer: Path
    """The screen as an XWD file that the server maps into its memory."""

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"DISPLAY": self.name}

    def xdotool(self, *arguments: str | int, check: bool = True) -> str:
        command = ["xdotool", *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=20, check=False)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
        return done.stdout.strip()

    def close_window(self, window: str) -> None:
        """Ask a window to close, as its close button would (there is no window manager that could)."""
        code = "import sys; from tests.support.xvfb import send_delete; send_delete(int(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, window], env=self.environment, cwd=ROOT, timeout=20, check=True)

    def screenshot(self) -> Image:
        """The whole screen, uint8 [H,W,3] RGB."""
        data = self.framebuffer.read_bytes()
        header = np.frombuffer(data, ">u4", 25)
        header_bytes, width, height, line_bytes, colours = (int(header[i]) for i in (0, 4, 5, 12, 19))
        pixels = np.frombuffer(data, np.uint8, height * line_bytes, header_bytes + 12 * colours)
        return pixels.reshape(height, line_bytes // 4, 4)[:, :width, 2::-1]


@contextmanager
def xvfb(folder: Path, *, width: int = 1000, height: int = 700) -> Iterator[Display]:
    """Start Xvfb on a free display; stop it at the end."""
    missing = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
    if missing:
        raise RuntimeError(f"{' and '.join(missing)} missing: apt-get install xvfb xdotool")
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-fbdir", str(folder), "-screen", "0", f"{width}x{height}x24"]
    with subprocess.Popen([*command, "-noreset", "-nolisten", "tcp"], pass_fds=[write_end]) as server:
        os.close(write_end)
        try:
            yield Display(f":{_display_number(read_end)}", folder / "Xvfb_screen0")
        finally:
            os.close(read_end)
            server.terminate()


class ClientMessage(ctypes.Structure):
    """XClientMessageEvent, padded to the size of an XEvent."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 12),
    )


def send_delete(window: int) -> None:
    """Send WM_DELETE_WINDOW to a window of the display that DISPLAY names (ICCCM, section 4.2.8.1)."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    protocols, delete = (x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    client_message = 33
    event = ClientMessage(type=client_message, window=window, message_type=protocols, format=32)
    event.data[0] = delete
    x11.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
    x11.XCloseDisplay(display)


def _display_number(read_end: int) -> int:
    text = b""
    while not text.endswith(b"\n"):
        assert select.select([read_end], [], [], START_S)[0], f"Xvfb has not started within {START_S:g} s"
        chunk = os.read(read_end, 16)
        assert chunk, "Xvfb has ended"
        text += chunk
    return int(text)
