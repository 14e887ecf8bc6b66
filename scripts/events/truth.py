"""What really moves in a zone, by dense optical flow, and by masks where there are some.

Every 0.1 s it is asked which share of the picture moves in a zone, and which share goes left, right, up or down. A
pixel's direction is the axis along which it is faster. What moves outside of the masks is unclear.
`scripts/events/measure.py` says when a share makes a rule true.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.evaluate.annotations import read_npz
from streamcam.evaluate.flow import AVERAGED_S, SIDE, FlowHistory, Mask, Motion, dilate
from streamcam.events.zones import zone_mask
from streamcam.records import Transform
from streamcam.sources.base import open_source

EVERY_S = 0.1
"""Truth is asked for so often."""

MASK_EDGE = 2.0
"""In px of 112: masks grow by this, as flow does not end exactly at an edge."""

WAYS = ("any", "left", "right", "up", "down")

Polygon = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Moving:
    """What moves in a zone at many moments."""

    times: tuple[float, ...]
    shares: Mapping[str, tuple[float, ...]]
    """By one of `WAYS`: the share of the picture that moves that way in the zone, and inside the masks if any."""
    outside: tuple[float, ...]
    """The share of the picture that moves in the zone, but outside of the masks; 0 without masks."""


class _Masks:
    """The masks of a clip, as flow sees the picture."""

    def __init__(self, path: Path, transform: Transform) -> None:
        self._objects, _ = read_npz(path, default="thing")
        self._transform = transform

    def at(self, pts_s: float) -> Mask:
        """Return the masks of all objects together at the nearest moment: bool [SIDE,SIDE]."""
        whole = np.zeros((SIDE, SIDE), np.bool_)
        for thing in self._objects:
            assert thing.masks is not None
            mask = thing.masks[int(np.abs(thing.times - pts_s).argmin())]
            x0, y0, x1, y1 = self._transform.to_pixels(*mask.shape)
            whole |= cv2.resize(mask[y0:y1, x0:x1].astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST) > 0
        return dilate(whole, MASK_EDGE)


def watch(video: Path, zones: Mapping[str, Polygon | None], transform: Transform) -> dict[str, Moving]:
    """Measure what moves in each zone of a video.

    Args:
        video: a file; NAME.npz beside it may hold masks of what moves.
        zones: their corners, by name; None for the whole picture.
        transform: the part of the picture that the network sees.

    Raises:
        StreamcamError: the video or its masks cannot be read.
    """
    npz = video.with_suffix(".npz")
    masks = _Masks(npz, transform) if npz.exists() else None
    places = {name: _cover(polygon, transform) for name, polygon in zones.items()}
    rows: dict[str, list[tuple[float, dict[str, float], float]]] = {name: [] for name in zones}
    flow, due_s = FlowHistory(transform, keep_s=1.0), EVERY_S
    with closing(open_source(str(video), paced=False)) as source:
        for frame in source.frames(Event()):
            flow.push(frame.pixels, frame.pts_s)
            while frame.pts_s > due_s + AVERAGED_S:
                motion, inside = flow.at(due_s), None if masks is None else masks.at(due_s)
                for name, place in places.items():
                    rows[name].append((due_s, *_shares(motion, place, inside)))
                due_s = round(due_s + EVERY_S, 6)
    return {name: _columns(found) for name, found in rows.items()}


def _cover(polygon: Polygon | None, transform: Transform) -> Mask:
    if polygon is None:
        return np.ones((SIDE, SIDE), np.bool_)
    return np.asarray(zone_mask(polygon, transform, SIDE, SIDE) >= 0.5, np.bool_)


def _shares(motion: Motion | None, place: Mask, inside: Mask | None) -> tuple[dict[str, float], float]:
    if motion is None:
        return dict.fromkeys(WAYS, 0.0), 0.0
    there = motion.moving & place
    known = there if inside is None else there & inside
    return {way: float((known & of).mean()) for way, of in ways(motion.velocity).items()}, float(
        (there & ~known).mean()
    )


def ways(velocity: npt.NDArray[np.float32]) -> dict[str, Mask]:
    """Say of each pixel which way it goes, if it moves: by one of `WAYS`, bool [SIDE,SIDE]."""
    x, y = velocity[..., 0], velocity[..., 1]
    across = np.abs(x) > np.abs(y)
    return {
        "any": np.ones_like(across),
        "left": across & (x < 0),
        "right": across & (x > 0),
        "up": ~across & (y < 0),
        "down": ~across & (y > 0),
    }


def _columns(rows: Sequence[tuple[float, dict[str, float], float]]) -> Moving:
    return Moving(
        tuple(t for t, _, _ in rows),
        {way: tuple(shares[way] for _, shares, _ in rows) for way in WAYS},
        tuple(outside for _, _, outside in rows),
    )
