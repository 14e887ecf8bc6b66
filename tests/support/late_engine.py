"""An engine whose device is slow, and may finish a batch after a later one."""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from streamcam.engines.base import BatchFuture
from streamcam.records import Clip, Heat


def heat_of(clip: Clip) -> Heat:
    """Return heat that tells which clip it is of: its only logit is the clip's index."""
    one = np.ones((1, 1, 1, 1), np.float32)
    return Heat(
        cube=one,
        common=one[0],
        classes=np.zeros(1, np.int64),
        labels=("it",),
        scores=np.ones(1, np.float32),
        logits=np.array([clip.index], np.float32),
        scale=None,
        pts_s=clip.pts_s[-1:],
        clip_pts_s=(float(clip.pts_s[0]), float(clip.pts_s[-1])),
        transform=clip.transform,
        model="late",
        model_hash="0",
    )


class Late(BatchFuture):
    """A batch that is done at `ready_s` on the clock of its engine."""

    def __init__(self, engine: "LateEngine", clips: Sequence[Clip], ready_s: float) -> None:
        # Functions, not methods: a future that refers to itself would keep its clips until the garbage collector runs.
        def is_ready() -> bool:
            now_s = engine.clock()
            if now_s < ready_s:
                engine.waited_s = now_s
            return now_s >= ready_s

        def wait() -> list[Heat | None]:
            engine.require_own_thread()
            while not is_ready():
                time.sleep(0.0005)
            engine.under_way -= 1
            return [heat_of(clip) if clip.full else None for clip in clips]

        super().__init__(is_ready, wait)


class LateEngine:
    """An engine that computes one batch after the other, each for `seconds`. Results are ready a `lag` after that.

    The clock may be another than the machine's. One that counts windows makes a device equally slow on any machine.
    """

    name, head_start, hop, lookahead_s = "late", False, 1, 0.0

    def __init__(
        self,
        seconds: float = 0.0,
        *,
        in_flight: int = 3,
        max_batch: int = 4,
        lag: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.in_flight, self.max_batch = in_flight, max_batch
        self.batches: list[list[str]] = []
        self.under_way = self.most_under_way = 0
        self.waited_s = 0.0
        """When somebody last asked for a batch that was not ready."""
        self._seconds, self._lag, self._free_s = seconds, lag, 0.0
        self._thread: int | None = None

    def weight(self, _clip: Clip) -> int:
        return 1

    def submit(self, clips: Sequence[Clip]) -> Late:
        self.require_own_thread()
        assert 1 <= len(clips) <= self.max_batch
        self.batches.append([clip.last.source for clip in clips])
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self._free_s = max(self._free_s, self.clock()) + self._seconds
        return Late(self, clips, self._free_s + self._lag())

    def infer(self, clips: Sequence[Clip]) -> Sequence[Heat | None]:
        return self.submit(clips).wait()

    def require_own_thread(self) -> None:
        """Check that all calls come from one thread."""
        self._thread = self._thread or threading.get_ident()
        assert self._thread == threading.get_ident()
