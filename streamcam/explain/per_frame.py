"""Average overlapping windows into one result for each frame. No threads and no clocks."""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from streamcam.explain.findings import strongest
from streamcam.heat.localise import slice_at
from streamcam.heat.results import HeatContext
from streamcam.records import Floats, Frame, Heat, Result


@dataclass(eq=False, slots=True)
class _PendingFrame:
    """A frame, and the sums over the windows that contain it so far."""

    frame: Frame
    windows: int = 0
    logits: Floats | float = 0.0
    cube: Floats | float = 0.0
    common: Floats | float = 0.0
    span_s: tuple[float, float] = (0.0, 0.0)
    """The times of the first and the last frame of all these windows, in seconds."""

    def add(self, heat: Heat, cube: Floats) -> None:
        """Add a window, whose heat `cube` [C,L',h,w] is in the order of the model's classes."""
        first_s, last_s = heat.clip_pts_s
        self.span_s = (self.span_s[0], last_s) if self.windows else (first_s, last_s)
        self.windows += 1
        self.logits = self.logits + heat.logits
        self.cube = self.cube + slice_at(cube, heat.pts_s, self.frame.pts_s)
        self.common = self.common + slice_at(heat.common, heat.pts_s, self.frame.pts_s)


class PerFrame:
    """The average, for each frame, of the logits and the heat of all windows that contain it.

    ```
    frames    │ │ │ │ │ │ │ │ │ │
    windows   ├───────┤
                  ├───────┤
                      ├───────┤
    ```

    A frame is complete as soon as a window begins after it. So the frames that are pending never span more than a
    window and a hop.

    Some frames lie in no window: those behind the last one, and those between two windows that do not touch. Such a
    frame takes the window before it, with the heat at that window's end.

    The heat of a frame has one slice, at the frame's time. Cube and common heat are averaged separately, so that the
    cube is raw heat, as in every `Heat`.
    """

    def __init__(self, context: HeatContext, *, top_k: int = 5, always: Collection[int] = ()) -> None:
        """Begin without frames.

        Args:
            context: the model's name, classes and scales.
            top_k: the number of classes whose heat a frame gets.
            always: classes that are among them in any case.
        """
        self.context, self._top_k, self._always = context, top_k, always
        self._pending: deque[_PendingFrame] = deque()
        self._last_window: tuple[Heat, Floats] | None = None

    def push(self, frame: Frame) -> list[Result]:
        """Add the next frame, before any window that contains it.

        Returns:
            The frames that are complete: all pending ones, if a new stretch of video begins; else none.
        """
        last = self._pending[-1].frame if self._pending else None
        # Nothing is averaged over a break: a new session, a jump back in time, or pictures of another size.
        breaks = last is not None and (
            frame.session != last.session or frame.pts_s < last.pts_s or frame.pixels.shape != last.pixels.shape
        )
        complete = self.finish() if breaks else []
        self._pending.append(_PendingFrame(frame))
        return complete

    def add(self, heat: Heat) -> list[Result]:
        """Add the next window, with the heat of all classes, and return the frames that are complete."""
        first_s, last_s = heat.clip_pts_s
        complete = []
        # Windows come in order: no later one can contain a frame before this one's first. These frames go out before
        # `_last_window` changes, because those without a window take the heat of the window before.
        while self._pending and self._pending[0].frame.pts_s < first_s:
            complete.append(self._result(self._pending.popleft()))
        cube = heat.cube[np.argsort(heat.classes)]  # windows rank classes differently: sort, to be able to add
        self._last_window = heat, cube
        for pending in self._pending:
            if pending.frame.pts_s <= last_s:
                pending.add(heat, cube)
        return complete

    def finish(self) -> list[Result]:
        """Return the frames that are still pending. After that, a new stretch of video may begin."""
        complete = [self._result(pending) for pending in self._pending]
        self._pending.clear()
        self._last_window = None
        return complete

    def __len__(self) -> int:
        """Return the number of pending frames."""
        return len(self._pending)

    @property
    def scores(self) -> Callable[[Floats], Floats]:
        """Return the function that turns logits [C] into probabilities [C]."""
        return self.context.link.scores

    def _result(self, pending: _PendingFrame) -> Result:
        """Divide the sums, and choose the frame's strongest classes."""
        if self._last_window is None:
            return Result(pending.frame)
        if not pending.windows:
            # No window contains this frame: `slice_at` holds the last window's heat beyond its end.
            pending.add(*self._last_window)
        logits, cube, common = (
            _mean(total, pending.windows) for total in (pending.logits, pending.cube, pending.common)
        )
        chosen = np.array(strongest(logits, top_k=self._top_k, always=self._always), np.int64)
        heat = replace(
            self._last_window[0],
            cube=cube[chosen, None],
            common=common[None],
            classes=chosen,
            labels=tuple(self.context.labels[c] for c in chosen),
            scores=self.scores(logits)[chosen],
            logits=logits,
            scale=None if self.context.scale is None else self.context.scale[chosen],
            pts_s=np.array([pending.frame.pts_s]),
            clip_pts_s=pending.span_s,
        )
        return Result(pending.frame, heat)


def _mean(total: Floats | float, count: int) -> Floats:
    return np.asarray(total / np.float32(count), np.float32)
