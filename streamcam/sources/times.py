"""When frames were due: live ones by the delay of those that did not wait, those of files by their own times."""

import time
from collections import deque
from collections.abc import Callable
from statistics import median
from threading import Event

MAX_LATE_S = 0.5
LATE_FOR_GOOD_S = 2.0
"""When everything has been late for so long, the way has become longer, and nothing is queued any more."""

MAX_JUMP_S = 10.0
"""A timestamp that is further ahead than this, or that goes back, is a new beginning and not a long wait."""

DRIFT = 1e-3
"""How much faster or slower than ours a camera's clock may run."""

RATE_FRAMES = 15
RATE_CHANGE = 1.5
"""Over so many frames, half of them must come so many times as often or as seldom for the rate to have changed."""

MAX_FPS = 240
"""A live source may give so many frames in a second, and no more: the rest are dropped and counted."""


class LiveTimes:
    """Timestamps of one live session: seconds from its start, when each frame was due here, and how late it is.

    The smallest difference seen between our clock and the stream's is the delay of a frame that did not wait on the
    way; what a frame has beyond that, it has waited.
    """

    def __init__(self, by_arrival: bool) -> None:
        self._by_arrival = by_arrival
        self._offset_s: float | None = None
        self._last: tuple[float, float] | None = None
        self._delay_s, self._in_time_s = float("inf"), 0.0

    def read(self, stream_s: float | None, now_ns: int) -> tuple[float, int, float]:
        """(pts_s, when it was due here in ns, late_s) of a frame with the stream's own time, or None, that is here now.

        The times are of a clock that is never set, as `time.monotonic_ns` is. `pts_s` never goes back.
        """
        now_s = now_ns / 1e9
        pts_s = self._pts(None if self._by_arrival else stream_s, now_s)
        since_last_s = now_s - self._last[1] if self._last else 0.0
        self._last = pts_s, now_s
        self._delay_s = min(self._delay_s + DRIFT * since_last_s, now_s - pts_s)
        late_s = now_s - pts_s - self._delay_s
        if late_s <= MAX_LATE_S:
            self._in_time_s = now_s
        elif now_s - self._in_time_s > LATE_FOR_GOOD_S:
            self._delay_s, late_s = now_s - pts_s, 0.0
        return pts_s, now_ns - int(late_s * 1e9), late_s

    def _pts(self, stream_s: float | None, now_s: float) -> float:
        last_s, since_last_s = (self._last[0], now_s - self._last[1]) if self._last else (0.0, 0.0)
        if stream_s is None:
            return last_s + since_last_s
        if self._offset_s is None or not 0 <= stream_s - self._offset_s - last_s <= since_last_s + MAX_JUMP_S:
            self._offset_s, self._delay_s = stream_s - last_s - since_last_s, float("inf")
        return stream_s - self._offset_s


class Rate:
    """Notices when a stream's frames begin to come much more or less often, by their own times."""

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._intervals_s: deque[float] = deque(maxlen=RATE_FRAMES)
        self._usual_s: float | None = None

    def changes(self, pts_s: float) -> bool:
        """Whether the frame rate is another one than it was in the beginning, as of the frame with this time."""
        if self._last_s is not None:
            self._intervals_s.append(pts_s - self._last_s)
        self._last_s = pts_s
        if len(self._intervals_s) < RATE_FRAMES:
            return False
        now_s = median(self._intervals_s)
        if self._usual_s is None:
            self._usual_s = now_s
        return not self._usual_s / RATE_CHANGE <= now_s <= self._usual_s * RATE_CHANGE


class RateLimit:
    """Lets so many frames a second through, also in one go."""

    def __init__(self, max_fps: int = MAX_FPS) -> None:
        self._max_fps, self._allowed, self._last_ns = max_fps, float(max_fps), 0

    def allows(self, now_ns: int) -> bool:
        """Whether a frame that comes now may pass."""
        gained = (now_ns - self._last_ns) * 1e-9 * self._max_fps
        self._allowed, self._last_ns = min(self._max_fps, self._allowed + gained), now_ns
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True


class Pace:
    """Holds a file's frames back until they are due."""

    def __init__(self, clock: Callable[[], int], stop: Event) -> None:
        self._clock, self._stop = clock, stop
        self._start_ns, self._last_s = 0, float("inf")

    def wait(self, pts_s: float) -> int:
        """Wait until a frame is due; when that was, Unix time in nanoseconds."""
        pts_ns = int(pts_s * 1e9)
        if not 0 <= pts_s - self._last_s <= MAX_JUMP_S:
            self._start_ns = time.monotonic_ns() - pts_ns
        self._last_s = pts_s
        due_ns = self._start_ns + pts_ns
        self._stop.wait(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
        return self._clock() - (time.monotonic_ns() - due_ns)
