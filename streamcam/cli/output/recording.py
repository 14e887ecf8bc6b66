"""Tells somebody in front of the camera what to do, while `streamcam record` goes on."""

import math
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from streamcam.cli.output.progress import TerminalLine
from streamcam.errors import one_line
from streamcam.render.prompt import Prompt, draw_prompt
from streamcam.render.text import short
from streamcam.train.collect import RecordingStatus
from streamcam.train.data.annotations import count_of
from streamcam.viewer.picture_window import PictureWindow


class RecordingLine(TerminalLine):
    """A line on the terminal. Without one, it prints the seconds before each clip."""

    def __init__(self, label: str, count: int) -> None:
        super().__init__()
        self._label, self._count = short(label), count
        self._printed = ""

    def show(self, status: RecordingStatus) -> None:
        """Count down to the begin of a clip, or to its end."""
        recording = status.phase == "recording"
        line = f"clip {status.number} of {self._count}: {f'recording {self._label!r}' if recording else 'get ready'}"
        if self.draw(f"{'●' if recording else '○'} {line}, {max(0.0, status.left_s):.1f} s"):
            return
        if (number := countdown(status)) is not None:
            line += f", {number}"
        if line != self._printed and (recording or number is not None):
            print(line, file=sys.stderr, flush=True)
            self._printed = line


class RecordingWindow:
    """A window with the camera's picture, and after each clip with the clip; its keys decide what becomes of clips."""

    def __init__(self, label: str, count: int, *, person: str | None) -> None:
        self._title = f"of {count}: {label}{f' ({person})' if person else ''}"
        self._window = PictureWindow(instead="use --no-window")

    def show(self, status: RecordingStatus) -> str | None:
        """Show a picture with what to do; return the key that was pressed, or q once the window is closed."""
        self._window.show(draw_prompt(status.picture, prompt_of(status, self._title)))
        key = self._window.read_key()
        return key if self._window.is_open else "q"

    def __enter__(self) -> Self:
        self._window.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._window.__exit__(kind, error, tb)


def print_recorded(count: int, label: str, folder: Path) -> None:
    """Print how many clips were kept, and what to do with them."""
    print(
        f"{count_of(count, 'clip')} of {label!r} in {one_line(str(folder))}; when there are several classes: "
        f"streamcam train {one_line(str(folder.parent))}"
    )


def countdown(status: RecordingStatus) -> int | None:
    """Return the whole seconds before a clip begins: 3, 2, 1; None once it does."""
    return math.ceil(status.left_s) if status.phase == "ready" and status.left_s > 0 else None


def prompt_of(status: RecordingStatus, title: str) -> Prompt:
    """Choose what is drawn on a picture."""
    title = f"clip {status.number} {title}"
    match status.phase:
        case "ready":
            return Prompt(title, "get ready", ["q  end"], number=countdown(status))
        case "recording":
            keys = ["d  discard, and begin again", "q  end without it"]
            return Prompt(title, f"recording, {max(0.0, status.left_s):.1f} s", keys, recording=True)
    return Prompt(title, "the clip that was recorded", ["Enter or k  keep", "d  discard", "q  end without it"])
