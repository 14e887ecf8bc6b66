"""Insertion and deletion: does the class's probability rise with its hottest pixels, and fall without them?

Petsiuk et al., *RISE: Randomized Input Sampling for Explanation of Black-box Models*, BMVC 2018, carried over to clips.
Each frame takes the heat slice nearest to it in time, enlarged to the frame. All pixels of a clip are ranked together.
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
"""Standard deviation of the blur that insertion begins with, as a share of the picture's width."""

Frames = npt.NDArray[np.uint8]


class Erasure(NamedTuple):
    """Two areas under the class's probability, each over 0–1 of the pixels."""

    insertion: float
    """Pixels of a blurred clip become sharp, the hottest first: more is better."""
    deletion: float
    """Pixels of the clip become black, the hottest first: less is better."""


def erase(window: EvalWindow, k: int, cells: Floats, *, engine: WindowEngine, steps: int) -> Erasure:
    """Insert and delete pixels in the order of their heat, and watch the probability of a class.

    Args:
        window: the clip that the network saw.
        k: the class, as an index of the heat's K classes.
        cells: float32 [L',h,w], the heat whose order is measured.
        engine: runs the network, up to `max_batch` clips at once.
        steps: the number of equal shares of pixels; it costs 2 · (steps + 1) forward passes.
    """
    clip = window.clip.frames
    ranks = frame_ranks(cells, window.heat.pts_s, window.clip.pts_s, clip.shape[2:])
    blurred, black = blur(clip), np.zeros_like(clip)
    index = int(window.heat.classes[k])
    # Insertion puts pixels of the clip into the blurred clip; deletion puts black pixels into the clip.
    return Erasure(
        area_under(_probabilities(_mixtures(clip, blurred, ranks, steps), index, window, engine)),
        area_under(_probabilities(_mixtures(black, clip, ranks, steps), index, window, engine)),
    )


def frame_ranks(
    cells: Floats, slice_pts_s: npt.NDArray[np.float64], pts_s: npt.NDArray[np.float64], size: tuple[int, ...]
) -> Floats:
    """Rank the pixels of L frames: float32 [L,h,w], from 0 for the hottest to below 1.

    Args:
        cells: float32 [L',h',w'], heat.
        slice_pts_s: float64 [L'], the time of each slice in seconds.
        pts_s: float64 [L], the time of each frame in seconds; a frame takes the heat of the nearest slice.
        size: (h, w) of a frame in pixels.
    """
    nearest = np.abs(pts_s[:, None] - slice_pts_s).argmin(1)
    heat = np.stack([enlarge(cells[i], size[1], size[0]) for i in nearest])
    # The k-th hottest pixel of all frames gets rank k / size. The sort is stable, so two runs rank ties alike.
    ranks = np.empty(heat.size, np.float32)
    ranks[np.argsort(-heat, axis=None, kind="stable")] = np.arange(heat.size, dtype=np.float32) / heat.size
    return ranks.reshape(heat.shape)


def blur(clip: Frames) -> Frames:
    """Blur each frame of a clip, uint8 [L,3,h,w], so far that nothing in it can be recognised."""
    pictures = [cv2.GaussianBlur(f.transpose(1, 2, 0), (0, 0), BLUR * f.shape[2]) for f in clip]
    return np.stack([np.ascontiguousarray(p.transpose(2, 0, 1)) for p in pictures]).astype(np.uint8)


def _mixtures(hot: Frames, rest: Frames, ranks: Floats, steps: int) -> Iterator[Frames]:
    """Yield steps + 1 clips: 0, 1/steps, … 1 of the pixels are those of `hot`, hottest first, the others of `rest`."""
    for step in range(steps + 1):
        # One rank for a pixel's three channels.
        yield np.where((ranks < step / steps)[:, None], hot, rest)


def _probabilities(clips: Iterator[Frames], index: int, window: EvalWindow, engine: WindowEngine) -> list[float]:
    """Return the probability of class `index` for each clip."""
    probabilities: list[float] = []
    while batch := list(islice(clips, engine.max_batch)):
        logits = engine.runner.run(batch).logits.float().cpu().numpy()
        probabilities += window.model.heat_context.link.scores(logits)[:, index].tolist()
    return probabilities
