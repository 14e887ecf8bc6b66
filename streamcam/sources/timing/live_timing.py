"""The times of live frames: how late each one is, whether the frame rate has changed, and whether too many come."""

from collections import deque
from statistics import median

from streamcam.sources.timing.timestamps import MAX_JUMP_S

MAX_LATE_S = 0.5
"""A live frame that has waited longer than this on the way is dropped."""

LATE_FOR_GOOD_S = 2.0
"""When every frame has been late for so long, the way has become longer for good, and nothing is queued any more."""

MAX_CLOCK_DRIFT = 1e-3
"""How much faster or slower than ours a camera's clock may run, as a fraction."""

RATE_FRAMES = 15
"""Over how many frames a frame rate is measured."""

RATE_CHANGE = 1.5
"""A frame rate has changed when it is so many times higher or lower."""

MAX_FPS = 240
"""How many frames a second a live source may give; the rest are dropped and counted."""


class LiveTimestamps:
    """Timestamps of one live session: seconds from its start, when each frame was due here, and how late it is.

    A frame's delay is our clock's time at its arrival, minus its own time. The smallest delay so far is that of a frame
    that did not wait on the way. A frame with a longer delay has waited for the difference.
    """

    def __init__(self, by_arrival: bool) -> None:
        """Begin a session; `by_arrival` ignores the stream's own times, which FFmpeg may have made up."""
        self._by_arrival = by_arrival
        self._offset_s: float | None = None
        """What the stream's clock showed at `pts_s` 0; None before its first time."""
        self._last: tuple[float, float] | None = None
        """The `pts_s` of the last frame, and when it arrived, in seconds."""
        self._min_delay_s, self._last_in_time_s = float("inf"), 0.0

    def read(self, stream_s: float | None, now_ns: int) -> tuple[float, int, float]:
        """Time a frame that has just arrived.

        Args:
            stream_s: the frame's time by the stream's own clock, in seconds; None where it has none.
            now_ns: nanoseconds of a clock that is never set, such as `time.monotonic_ns`.

        Returns:
            (pts_s, when the frame was due here in nanoseconds by the clock of `now_ns`, seconds that it is late).
            `pts_s` never goes back.
        """
        now_s = now_ns / 1e9
        pts_s = self._pts_s(None if self._by_arrival else stream_s, now_s)
        since_last_s = now_s - self._last[1] if self._last else 0.0
        self._last = pts_s, now_s
        # The smallest delay may grow slowly: a camera whose clock runs slower than ours must not become late for ever.
        self._min_delay_s = min(self._min_delay_s + MAX_CLOCK_DRIFT * since_last_s, now_s - pts_s)
        late_s = now_s - pts_s - self._min_delay_s
        if late_s <= MAX_LATE_S:
            self._last_in_time_s = now_s
        elif now_s - self._last_in_time_s > LATE_FOR_GOOD_S:
            self._min_delay_s, late_s = now_s - pts_s, 0.0
        return pts_s, now_ns - int(late_s * 1e9), late_s

    def _pts_s(self, stream_s: float | None, now_s: float) -> float:
        last_s, since_last_s = (self._last[0], now_s - self._last[1]) if self._last else (0.0, 0.0)
        if stream_s is None:
            return last_s + since_last_s
        if self._offset_s is None or not 0 <= stream_s - self._offset_s - last_s <= since_last_s + MAX_JUMP_S:
            # The stream's clock was set: go on by ours, and measure the delay anew.
            self._offset_s, self._min_delay_s = stream_s - last_s - since_last_s, float("inf")
        return stream_s - self._offset_s


class FrameRateMonitor:
    """Notices when a stream's frames begin to come much more or less often, by their own times."""

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._intervals_s: deque[float] = deque(maxlen=RATE_FRAMES)
        self._first_median_s: float | None = None

    def changes(self, pts_s: float) -> bool:
        """Take in a frame's time in seconds; return whether the rate is now another one than in the beginning."""
        if self._last_s is not None:
            self._intervals_s.append(pts_s - self._last_s)
        self._last_s = pts_s
        if len(self._intervals_s) < RATE_FRAMES:
            return False
        median_s = median(self._intervals_s)
        if self._first_median_s is None:
            self._first_median_s = median_s
        return not self._first_median_s / RATE_CHANGE <= median_s <= self._first_median_s * RATE_CHANGE


class RateLimiter:
    """A token bucket: it lets `max_fps` frames a second pass, and as many in one burst."""

    def __init__(self, max_fps: int = MAX_FPS) -> None:
        self._max_fps, self._tokens, self._last_ns = max_fps, float(max_fps), 0

    def allows(self, now_ns: int) -> bool:
        """Whether a frame that arrives now may pass."""
        gained = (now_ns - self._last_ns) * 1e-9 * self._max_fps
        self._tokens, self._last_ns = min(self._max_fps, self._tokens + gained), now_ns
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
