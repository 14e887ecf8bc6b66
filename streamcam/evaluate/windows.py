"""Cut a clip or a picture into windows that follow one another without overlap, and compute the heat of each."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from threading import Event

import numpy as np

from streamcam.clips import SlidingWindow, prepare, transform_of
from streamcam.engines.window_engine import WindowEngine
from streamcam.evaluate.methods import EvalWindow
from streamcam.evaluate.truth import Item, Truth
from streamcam.models.base import CamModel
from streamcam.records import Clip, Frame
from streamcam.render.image_files import read_picture
from streamcam.sources.base import open_source


def frames(item: Item) -> Iterator[Frame]:
    """Read the frames of a clip; a picture has one."""
    if item.is_picture:
        yield Frame(read_picture(item.path), 0, 0.0, 0, item.name)
        return
    with closing(open_source(item.uri, paced=False)) as source:
        yield from source.frames(Event())


def with_frame_times(truth: Truth) -> Truth:
    """Decode the clip, and return the truth with the time of each frame and the size of the picture."""
    times, shape = [], (1, 1)
    for frame in frames(truth.item):
        times.append(frame.pts_s)
        shape = frame.pixels.shape[:2]
    return replace(truth, frame_times=np.array(times), picture=shape)


def windows(item: Item, engine: WindowEngine, model: CamModel) -> Iterator[EvalWindow]:
    """Yield the windows of a clip with their heat.

    The last frame of a picture or a short clip is repeated until there is one window. What is left over at the end of
    a longer clip is dropped.
    """
    for clip in _clips(item, model):
        yield EvalWindow(clip, engine.infer([clip])[0], model, f"{item.name} {clip.pts_s[0]:.3f}")


def _clips(item: Item, model: CamModel) -> Iterator[Clip]:
    spec = model.spec
    if item.is_picture and spec.framewise:
        yield _still(next(frames(item)), model)
        return
    # A hop of as many frames as a window has slices' worth: no time is covered twice.
    window = SlidingWindow(spec.clip_format, hop=spec.slices * spec.temporal_stride)
    found, last = False, None
    for last in frames(item):
        clip = window.push(last)
        if clip is not None:
            found = True
            yield clip
    # Repeat the last frame, at the model's rate, until the window is full.
    repeats = 0
    while not found and last is not None:
        repeats += 1
        pts_s = last.pts_s + repeats / spec.clip_format.fps
        clip = window.push(replace(last, pts_s=pts_s, index=last.index + repeats))
        if clip is not None:
            found = True
            yield clip


def _still(frame: Frame, model: CamModel) -> Clip:
    """Make a clip of one frame, which is enough for a network that looks at each frame alone."""
    prepared = prepare(frame.pixels, model.spec.clip_format)[None]
    return Clip(prepared, np.array([frame.pts_s]), 0, frame, transform_of(model.spec.clip_format))
