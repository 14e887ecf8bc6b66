"""What people in front of a camera are told, on the live picture: a large number, lines of text, a red frame."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamcam.records import Image
from streamcam.render.canvas import Canvas
from streamcam.render.layout import Words


@dataclass(frozen=True, slots=True)
class Prompt:
    """All that is drawn on one picture."""

    title: str
    """The line at the top left."""
    note: str = ""
    """The line below it."""
    keys: Sequence[str] = ()
    """The lines at the bottom left: what each key does."""
    number: int | None = None
    """The number in the middle: the seconds that are left."""
    recording: bool = False
    """Whether there is a red frame."""


def draw_prompt(image: Image, prompt: Prompt) -> Image:
    """Return a copy of a picture, uint8 [H,W,3] RGB, with a prompt drawn on it."""
    painted = image.copy()
    canvas = Canvas(painted)
    if prompt.recording:
        canvas.frame()
    if prompt.number is not None:
        canvas.number(prompt.number)
    header = [text for text in (prompt.title, prompt.note) if text]
    canvas.write(Words(header, [(text, "") for text in prompt.keys]))
    return painted
