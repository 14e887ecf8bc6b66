"""Insertion and deletion: does the class come with its hottest pixels, and go with them?

Petsiuk et al., *RISE*, BMVC 2018, for clips: heat is enlarged to the frames, each frame with the slice nearest to it,
and all pixels of a clip are ranked together.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamcam.engines.window_engine import WindowEngine
from streamcam.evaluate.methods import EvalWindow
from streamcam.evaluate.metrics import area_under
from streamcam.heat.localise import enlarge
from streamcam.records import Floats

BLUR = 0.1
"""Standard deviation of the blur that insertion begins with, in the picture's width."""

Frames = npt.NDArray[np.uint8]


class Erasure(NamedTuple):
    """Areas under the class's probability."""

    insertion: float
    """As pixels of a blurred clip become sharp, the hottest first: more is better."""
    deletion: float
    """As pixels of the clip become black, the hottest first: less is better."""


def erase(window: EvalWindow, k: int, cells: Floats, *, engine: WindowEngine, steps: int) -> Erasure:
    """Put pixels in and take them out in the order of their heat.

    Args:
        window: what the network saw.
        k: which of the heat's K classes.
        cells: float32 [L',h,w], whose order is judged.
        engine: runs the network, several clips at once where the device likes that.
        steps: the number of equal shares of pixels.
    """
    clip = window.clip.frames
    ranks = frame_ranks(cells, window.heat.pts_s, window.clip.pts_s, clip.shape[2:])
    blurred, black = blur(clip), np.zeros_like(clip)
    index = int(window.heat.classes[k])
    return Erasure(
        area_under(_probabilities(_mixtures(clip, blurred, ranks, steps), index, window, engine)),
        area_under(_probabilities(_mixtures(black, clip, ranks, steps), index, window, engine)),
    )


def frame_ranks(
    cells: Floats, slice_pts_s: npt.NDArray[np.float64], pts_s: npt.NDArray[np.float64], size: tuple[int, ...]
) -> Floats:
    """The rank of every pixel, float32 [L,h,w], 0 for the hottest, below 1; each frame by its nearest slice."""
    nearest = np.abs(pts_s[:, None] - slice_pts_s).argmin(1)
    heat = np.stack([enlarge(cells[i], size[1], size[0]) for i in nearest])
    ranks = np.empty(heat.size, np.float32)
    ranks[np.argsort(-heat, axis=None, kind="stable")] = np.arange(heat.size, dtype=np.float32) / heat.size
    return ranks.reshape(heat.shape)


def blur(clip: Frames) -> Frames:
    """A clip [L,3,h,w] in which nothing can be told any more."""
    pictures = [cv2.GaussianBlur(f.transpose(1, 2, 0), (0, 0), BLUR * f.shape[2]) for f in clip]
    return np.stack([np.ascontiguousarray(p.transpose(2, 0, 1)) for p in pictures]).astype(np.uint8)


def _mixtures(hot: Frames, rest: Frames, ranks: Floats, steps: int) -> Iterator[Frames]:
    """Clips with none, 1/steps, … all of their pixels, the hottest first, from `hot`, and the others from `rest`."""
    for step in range(steps + 1):
        yield np.where((ranks < step / steps)[:, None], hot, rest)


def _probabilities(clips: Iterator[Frames], index: int, window: EvalWindow, engine: WindowEngine) -> list[float]:
    found: list[float] = []
    while batch := list(islice(clips, engine.max_batch)):
        logits = engine.runner.run(batch).logits.float().cpu()
        found += window.model.heat_context.scores(logits)[:, index].tolist()
    return found
