"""A saved event whose clip can be played, with its heat: a red event in the lower right of the picture."""

import io
import zipfile
from pathlib import Path

import numpy as np

from streamcam.event import Event
from streamcam.events.store.folders import folder_of
from streamcam.records import Frame, Heat, Result, Transform
from streamcam.render.image_files import save_picture
from streamcam.sinks.heat_npz import HeatRecorder
from tests.support.saved import NOON_NS, SECOND_NS, make_event, save
from tests.support.write_clip import write_clip

BEGIN_S = 8.0
"""The stream's time at the clip's beginning. The events of `make_event` go from 10 to 12.5 s."""
SECONDS, FPS = 6, 10
WIDTH, HEIGHT = 320, 240
HOT = (slice(None), slice(None), 3, 3)
"""The hot cell of 4 × 4."""
LABELS = ("car", "person", "bicycle")


def window(index: int, *, session: int = 1) -> Result:
    """A window of four slices, of which the last is new; scores are sigmoids. `person` is hot."""
    pts_s = np.array([9.5 + 0.1 * (index + i) for i in range(4)])
    cube = np.full((2, 4, 4, 4), -0.5, np.float32)
    cube[HOT] = [[16 + index % 4], [2]]  # person, car
    logits = np.array([-3.0, 1.0, -2.0], np.float32)
    heat = Heat(
        cube=cube,
        common=np.zeros((4, 4, 4), np.float32),
        classes=np.array([1, 0]),
        labels=("person", "car"),
        scores=np.array([0.73, 0.05], np.float32),
        logits=logits,
        scale=None,
        pts_s=pts_s,
        clip_pts_s=(float(pts_s[0]), float(pts_s[-1])),
        transform=Transform(),
        model="tiny",
        model_hash="0123",
    )
    return Result(Frame(None, index, float(pts_s[-1]), 0, "yard", session=session), heat)


def save_playable(root: Path, event: Event | None = None, *, windows: int = 32) -> Event:
    """Save an event with a grey clip of six seconds, a snapshot and the heat of its windows."""
    clip = write_clip(root / "clip.mp4", [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * SECONDS * FPS, fps=FPS)
    event = save(root, event or make_event(NOON_NS + 3600 * SECOND_NS), clip)
    clip.unlink()
    folder = root / folder_of(event)
    save_picture(folder / "snapshot.jpg", np.full((HEIGHT, WIDTH, 3), 120, np.uint8))
    recorder = HeatRecorder(folder / "heat.npz", event.source, LABELS)
    for index in range(windows):
        recorder.on_window(window(index))
    recorder.close()
    content = io.BytesIO()
    np.save(content, np.array(BEGIN_S))
    with zipfile.ZipFile(folder / "heat.npz", "a") as archive:
        archive.writestr("clip_begin_pts_s.npy", content.getvalue())
    return event
