"""A clip or a picture → windows that follow one another without overlap, each with its heat."""

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
    """The frames of a clip; one, of a picture."""
    if item.is_picture:
        yield Frame(read_picture(item.path), 0, 0.0, 0, item.name)
        return
    with closing(open_source(f"file://{item.path.resolve()}", paced=False)) as source:
        yield from source.frames(Event())


def timed(truth: Truth) -> Truth:
    """The truth with the times of the clip's frames, and its size in pixels."""
    times, shape = [], (1, 1)
    for frame in frames(truth.item):
        times.append(frame.pts_s)
        shape = frame.pixels.shape[:2]
    return replace(truth, frame_times=np.array(times), picture=shape)


def windows(item: Item, engine: WindowEngine, model: CamModel) -> Iterator[EvalWindow]:
    """The windows of a clip.

    A clip that is shorter than a window, or a picture, is held at its last frame until there is one; what is left over
    at the end of a longer clip is not looked at.
    """
    for clip in _clips(item, model):
        yield EvalWindow(clip, engine.infer([clip])[0], model, f"{item.name} {clip.pts_s[0]:.3f}")


def _clips(item: Item, model: CamModel) -> Iterator[Clip]:
    spec = model.spec
    if item.is_picture and spec.framewise:
        yield _still(next(frames(item)), model)
        return
    window = SlidingWindow(spec.clip_format, hop=spec.slices * spec.temporal_stride)
    count, last = 0, None
    for last in frames(item):
        clip = window.push(last)
        if clip is not None:
            count += 1
            yield clip
    at = 0
    while count == 0 and last is not None:
        at += 1
        held = replace(last, pts_s=last.pts_s + at / spec.clip_format.fps, index=last.index + at)
        clip = window.push(held)
        if clip is not None:
            count += 1
            yield clip


def _still(frame: Frame, model: CamModel) -> Clip:
    """A picture as a clip with one frame, which is enough where frames are looked at alone."""
    prepared = prepare(frame.pixels, model.spec.clip_format)[None]
    return Clip(prepared, np.array([frame.pts_s]), 0, frame, transform_of(model.spec.clip_format))
