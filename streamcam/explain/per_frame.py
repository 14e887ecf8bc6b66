"""Overlapping windows → one answer for each frame: pure, no threads."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from streamcam.explain.findings import strongest
from streamcam.heat.cam import HeatContext
from streamcam.records import Floats, Frame, Heat, Result


@dataclass(eq=False, slots=True)
class _Waiting:
    """A frame, and the sum of what the windows that contain it have said so far."""

    frame: Frame
    windows: int = 0
    logits: Floats | float = 0.0
    cube: Floats | float = 0.0
    common: Floats | float = 0.0
    span_s: tuple[float, float] = (0.0, 0.0)

    def add(self, heat: Heat, cube: Floats) -> None:
        first_s, last_s = heat.clip_pts_s
        self.span_s = (self.span_s[0], last_s) if self.windows else (first_s, last_s)
        self.windows += 1
        self.logits = self.logits + heat.logits
        self.cube = self.cube + slice_at(cube, heat.pts_s, self.frame.pts_s)
        self.common = self.common + slice_at(heat.common, heat.pts_s, self.frame.pts_s)


class PerFrame:
    """Averages, for each frame, what all windows that contain it say: logits, and heat at the frame's own time.

        frames    │ │ │ │ │ │ │ │ │ │
        windows   ├───────┤                 a frame is done as soon as a window begins after it;
                      ├───────┤             what is waiting is never more than a window and a hop
                          ├───────┤

    A frame that no window contains (behind the last one, or between two that do not touch) takes the window before it,
    with the heat at that window's end. The heat of a frame has one slice, at the frame's time; cube and common are
    averaged separately, so that it stays raw.
    """

    def __init__(self, context: HeatContext, *, top_k: int = 5, always: Collection[int] = ()) -> None:
        """Begin.

        Args:
            context: the model's names and scales.
            top_k: how many classes' heat each frame gets.
            always: classes that are among them in any case.
        """
        self.context, self._top_k, self._always = context, top_k, always
        self._waiting: deque[_Waiting] = deque()
        self._window: tuple[Heat, Floats] | None = None

    def push(self, frame: Frame) -> list[Result]:
        """Take the next frame, before any window that contains it; give what is done."""
        last = self._waiting[-1].frame if self._waiting else None
        breaks = last is not None and (
            frame.session != last.session or frame.pts_s < last.pts_s or frame.pixels.shape != last.pixels.shape
        )
        done = self.finish() if breaks else []
        self._waiting.append(_Waiting(frame))
        return done

    def add(self, heat: Heat) -> list[Result]:
        """Take the next window, with the heat of all classes; give the frames that are done."""
        first_s, last_s = heat.clip_pts_s
        done = []
        while self._waiting and self._waiting[0].frame.pts_s < first_s:
            done.append(self._result(self._waiting.popleft()))
        cube = heat.cube[np.argsort(heat.classes)]
        self._window = heat, cube
        for waiting in self._waiting:
            if waiting.frame.pts_s <= last_s:
                waiting.add(heat, cube)
        return done

    def finish(self) -> list[Result]:
        """What is still waiting; after that, a new stretch of video may begin."""
        done = [self._result(waiting) for waiting in self._waiting]
        self._waiting.clear()
        self._window = None
        return done

    def __len__(self) -> int:
        """How many frames are waiting."""
        return len(self._waiting)

    @property
    def scores(self) -> Callable[[Floats], Floats]:
        """Logits [C] → probabilities [C]."""
        return lambda logits: np.asarray(self.context.scores(torch.from_numpy(logits)).numpy(), np.float32)

    def _result(self, waiting: _Waiting) -> Result:
        if not waiting.windows and self._window is not None:
            waiting.add(*self._window)
        if not waiting.windows or self._window is None:
            return Result(waiting.frame)
        logits, cube, common = (
            _mean(total, waiting.windows) for total in (waiting.logits, waiting.cube, waiting.common)
        )
        chosen = np.array(strongest(logits, top_k=self._top_k, always=self._always), np.int64)
        heat = replace(
            self._window[0],
            cube=cube[chosen, None],
            common=common[None],
            classes=chosen,
            labels=tuple(self.context.labels[c] for c in chosen),
            scores=self.scores(logits)[chosen],
            logits=logits,
            scale=None if self.context.scale is None else self.context.scale[chosen],
            pts_s=np.array([waiting.frame.pts_s]),
            clip_pts_s=waiting.span_s,
        )
        return Result(waiting.frame, heat)


def slice_at(slices: Floats, pts_s: npt.NDArray[np.float64], at_s: float) -> Floats:
    """Heat [...,L',h,w] at a time → [...,h,w]: interpolated between the slices' centres, held before and after them."""
    at = float(np.interp(at_s, pts_s, np.arange(len(pts_s))))
    lower = int(at)
    upper = min(lower + 1, len(pts_s) - 1)
    early, late = slices[..., lower, :, :], slices[..., upper, :, :]
    return np.asarray(early + np.float32(at - lower) * (late - early), np.float32)


def _mean(total: Floats | float, count: int) -> Floats:
    return np.asarray(total / np.float32(count), np.float32)
