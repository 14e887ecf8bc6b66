"""A subscriber with a window: it draws the screen and reads the keys."""

import sys
import time
from pathlib import Path

import cv2

from streamcam.errors import one_line
from streamcam.records import Image
from streamcam.transport.subscriber import Subscriber
from streamcam.viewer.display import require_display
from streamcam.viewer.picture_window import PictureWindow
from streamcam.viewer.screen import Screen, View, on_key

POLL_S = 0.015
"""How long to wait for a message before keys are read again."""

REDRAW_S = 1.0
"""How often the window is redrawn while no picture comes, so that it says for how long."""


def show(endpoint: str, *, keys: Path | None = None, snapshot_folder: Path = Path()) -> None:
    """Show a publisher's pictures in a window, until it is closed.

    Args:
        endpoint: the publisher's address.
        keys: the folder of keys, for a publisher that has them.
        snapshot_folder: where the key `s` saves pictures.

    Raises:
        StreamcamError: there is no display, the endpoint is malformed, or a key is missing.
    """
    require_display()
    screen, view = Screen(endpoint), View()
    with (
        Subscriber(endpoint, kinds=("frame", "result", "status"), keys=keys) as subscriber,
        PictureWindow(instead="use `streamcam view --print`") as window,
    ):
        picture, drawn_s = _draw(window, screen, view, subscriber), time.monotonic()
        while True:
            message = next(subscriber.messages(timeout_s=POLL_S), None)
            changed = None if message is None or view.paused else screen.take(message)
            before, view = view, _read_key(window, screen, view)
            if view.quit or not window.is_open:  # before drawing: that would open a closed window again
                break
            silent = not view.paused and time.monotonic() - drawn_s > REDRAW_S
            if view != before or silent or (changed and changed == screen.visible_source(view)):
                picture, drawn_s = _draw(window, screen, view, subscriber), time.monotonic()
            # What is saved is what is on the screen, also while the view is paused.
            if view.snapshots > before.snapshots:
                _save(picture, snapshot_folder / f"streamcam-{time.strftime('%Y%m%d-%H%M%S')}-{view.snapshots}.png")


def _draw(window: PictureWindow, screen: Screen, view: View, subscriber: Subscriber) -> Image:
    picture = screen.picture(view, subscriber.skipped, subscriber.refused)
    window.show(picture)
    return picture


def _read_key(window: PictureWindow, screen: Screen, view: View) -> View:
    key = window.read_key()
    if key is None:
        return view
    heat = screen.heat(screen.visible_source(view))
    classes = [] if heat is None else heat.classes.tolist()
    return on_key(view, key, classes=classes, sources=screen.sources)


def _save(picture: Image, path: Path) -> None:
    content = cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    try:
        path.write_bytes(content.tobytes())  # cv2.imwrite refuses names that are not valid text
    except OSError as e:
        print(one_line(f"could not save {path}: {e.strerror or e}"), file=sys.stderr)
    else:
        print(one_line(f"saved {path}"), file=sys.stderr)
