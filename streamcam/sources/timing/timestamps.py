"""A file's timestamps, as containers give them → times that rise. Seconds in, seconds out: nothing of FFmpeg's.

Containers give a picture a presentation time (pts) and a decoding time (dts), only one of them, or none. Broken ones
give wrong times. `BestEffortTimestamps` finds the pts of each decoded frame by the stream's own clock. `Timeline`
follows that clock, and goes on smoothly where the clock jumps: FFmpeg calls that a timestamp discontinuity.
`reading.py` and `file_times.py` use both. Live sources have `live_timing.py` instead.
"""

from collections import deque
from typing import NamedTuple

MAX_JUMP_S = 10.0
"""A time further ahead than this is a discontinuity, and not a long wait."""

MAX_BACK_STEPS = 4
"""A time that goes back by more frames than this is a discontinuity, and not a muxer's mistake."""

MAX_BACK_S = 0.1
"""A time that goes back by more seconds than this is a discontinuity of sound."""

WRAP_S = 2**33 / 90_000
"""MPEG's clocks have 33 bits and run at 90 kHz, so they wrap to 0 after 26.5 hours."""

MAX_DELAY = 64
"""More packets than any decoder holds back."""


class BestEffortTimestamps:
    """Finds the pts of a decoder's frames, from the times of the packets that went into it.

    A container's pts are used where it has them. Some containers have only dts (AVI, ASF), and some write dts into the
    field for pts. Then the times of packets rise from one to the next, while decoders reorder frames. So the n-th frame
    that is shown takes the dts of the n-th packet. With a decoder that holds back two packets:

        packets, as decoded   I0  P3  B1  B2  P6  B4 …      dts  0  1  2  3  4  5 …
        frames, as shown              I0  B1  B2  P3 …      each takes the dts two columns to its left: 0  1  2  3 …
    """

    def __init__(self, step_s: float, *, max_delay: int = MAX_DELAY, gaps: bool = False) -> None:
        """Begin at the start of a stream, or after a seek.

        Args:
            step_s: about how long a frame lasts, in seconds.
            max_delay: how many packets the decoder holds back at most. The real number is found at its first frame.
            gaps: whether a long step ahead is a real gap, as for `Timeline`, and no mistake.
        """
        self._gaps = gaps
        self._max_back_s, self._max_delay = MAX_BACK_STEPS * step_s, max_delay
        self._packets: deque[tuple[float | None, float | None]] = deque(maxlen=MAX_DELAY)
        """The pts and dts of the newest packets."""
        self._sent = 0
        """How many packets have gone into the decoder."""
        self._all_have_pts, self._all_have_dts = True, True
        self._pts_and_dts_differ, self._pts_rise = False, True
        self._discontinuity_at = -MAX_DELAY
        """The number of the packet with which the stream's clock was last set."""
        self._delay: int | None = None
        """How many packets the decoder holds back; None before its first frame."""
        self._shown = -1
        """The number of the packet whose turn it was when the last frame came out."""
        self._pts_minus_dts_s = 0.0
        """Of the last frame whose pts was believed. A frame whose pts is not believed gets its dts plus this."""
        self._last_pts_s: float | None = None
        self._pts_distrusted = False

    def push_packet(self, pts_s: float | None, dts_s: float | None) -> None:
        """Note a packet that goes into the decoder, with the container's times in seconds; None where it has none."""
        last_pts_s, last_dts_s = self._packets[-1] if self._packets else (None, None)
        # Dts rise but at a discontinuity. Pts may rise and fall from packet to packet, since decoders reorder frames.
        if dts_s is not None and last_dts_s is not None and self._jumps(dts_s - last_dts_s):
            self._discontinuity_at = self._sent
        elif pts_s is not None and last_pts_s is not None and pts_s <= last_pts_s:
            self._pts_rise = False
        self._all_have_pts &= pts_s is not None
        self._all_have_dts &= dts_s is not None
        self._pts_and_dts_differ |= pts_s is not None and dts_s is not None and pts_s != dts_s
        self._packets.append((pts_s, dts_s))
        self._sent += 1

    def next_pts_s(self, pts_s: float | None) -> float | None:
        """Return the pts of the frame that comes out of the decoder next, in seconds; None where nothing tells it.

        Args:
            pts_s: the pts of the packet that the frame was decoded from.
        """
        is_first = self._shown < 0
        dts_s = self._next_decoding_time_s()
        if dts_s is None:
            return pts_s
        if pts_s is not None and (is_first or (self._has_real_pts and not self._rejects(pts_s))):
            self._pts_minus_dts_s, self._last_pts_s = pts_s - dts_s, pts_s
        return dts_s + self._pts_minus_dts_s

    @property
    def _has_real_pts(self) -> bool:
        """Whether the container has pts, and FFmpeg did not make them up from dts."""
        if self._pts_distrusted or (self._all_have_dts and not self._all_have_pts):
            return False
        # Pts that always rise prove nothing: they may be dts under another name, unless the dts are there and differ.
        # Of a single packet, nothing can be said yet.
        return self._sent == 1 or not self._pts_rise or (self._all_have_dts and self._pts_and_dts_differ)

    def _rejects(self, pts_s: float) -> bool:
        """Judge whether a frame's pts is out of order without a discontinuity, and note what it shows.

        After a pts that goes back, no later one is believed.
        """
        if self._last_pts_s is None:
            return False
        step_s = pts_s - self._last_pts_s
        if self._jumps(step_s) and self._sent - self._discontinuity_at <= MAX_DELAY:
            # The dts jumped as well, a decoder's delay ago: this is that discontinuity. It excuses one jump only.
            self._discontinuity_at = -MAX_DELAY
            return False
        self._pts_distrusted |= step_s <= 0
        return step_s <= 0 or (self._jumps(step_s) and not self._gaps)

    def _jumps(self, step_s: float) -> bool:
        return step_s < -self._max_back_s or step_s > MAX_JUMP_S

    def _next_decoding_time_s(self) -> float | None:
        """Return the dts of the packet whose turn it is when the next frame comes out; None where that is not known."""
        if self._delay is None:
            self._delay = min(self._sent - 1, self._max_delay)
        # A decoder that drops a damaged packet gives no frame for it: its turn passes.
        self._shown = max(self._shown + 1, self._sent - 1 - self._delay)
        position = self._shown - (self._sent - len(self._packets))
        if not 0 <= position < len(self._packets):
            return None
        pts_s, dts_s = self._packets[position]
        if self._all_have_dts:
            return dts_s
        return pts_s if self._all_have_pts and self._pts_rise else None


class Placement(NamedTuple):
    """The place of one frame on a timeline."""

    pts_s: float
    """Seconds from the timeline's beginning; greater than the previous frame's."""
    is_discontinuity: bool
    """Whether the stream's clock was set before this frame."""


class Segment(NamedTuple):
    """A part of a stream in which its clock ran without being set."""

    clock_s: float
    """What the stream's clock showed at the segment's beginning, in seconds, with its wraps added."""
    pts_s: float
    """Where the segment begins on the timeline, in seconds."""


class Timeline:
    """Maps times by a stream's own clock to times that rise, from 0 at the clock's `begin_s`.

    Where the clock is set, time goes on as if the next frame came when the last one had lasted its time. Times that are
    missing, doubled, or a little out of order are repaired.
    """

    def __init__(self, step_s: float, *, begin_s: float = 0.0, gaps: bool = False) -> None:
        """Begin a timeline.

        Args:
            step_s: how long a frame lasts where nothing tells it, in seconds.
            begin_s: what the clock shows at the beginning, in seconds.
            gaps: whether a long step ahead is a real gap, in which nothing was to be seen; otherwise the clock was set.
        """
        self._step_s, self._gaps = step_s, gaps
        self._shift_s, self._wraps = -begin_s, 0
        self._last_clock_s: float | None = None
        self._last_pts_s: float | None = None
        self._last_duration_s = step_s
        self.segments: list[Segment] = [Segment(begin_s, 0.0)]
        """The segments so far, in order."""

    def add(self, clock_s: float | None, duration_s: float | None = None) -> Placement:
        """Place the next frame.

        Args:
            clock_s: the frame's time by the stream's clock, in seconds; None where it has none.
            duration_s: how long it lasts, in seconds; None or 0 where the container does not say.
        """
        next_s = 0.0 if self._last_pts_s is None else self._last_pts_s + self._last_duration_s
        is_discontinuity, pts_s = False, next_s
        if clock_s is not None:
            clock_s = self._unwrapped(clock_s)
            is_discontinuity = self._last_clock_s is not None and self._is_discontinuity(
                clock_s - self._last_clock_s, clock_s + self._shift_s - next_s
            )
            if is_discontinuity:
                self._shift_s = next_s - clock_s
                self.segments.append(Segment(clock_s, next_s))
            self._last_clock_s, pts_s = clock_s, clock_s + self._shift_s
        # Doubled, or a little out of order: shift it by one frame's duration. If that is still too early, place it a
        # quarter of a frame after the previous one.
        if self._last_pts_s is not None and pts_s <= self._last_pts_s:
            pts_s = max(pts_s + self._last_duration_s, self._last_pts_s + self._last_duration_s / 4)
        self._last_pts_s, self._last_duration_s = pts_s, duration_s or self._step_s
        return Placement(pts_s, is_discontinuity)

    def to_pts_s(self, clock_s: float) -> float:
        """Map a time by the stream's clock as the last frame's was mapped; the timeline stays as it is."""
        return clock_s + self._wraps * WRAP_S + self._shift_s

    def _unwrapped(self, clock_s: float) -> float:
        # It has wrapped, if one more wrap brings it near the last time.
        if (
            self._last_clock_s is not None
            and abs(clock_s + (self._wraps + 1) * WRAP_S - self._last_clock_s) < MAX_JUMP_S
        ):
            self._wraps += 1
        return clock_s + self._wraps * WRAP_S

    def _is_discontinuity(self, step_s: float, late_s: float) -> bool:
        """Whether the clock jumped.

        Args:
            step_s: from the last frame's time by the clock to this one's.
            late_s: how long after the end of the last frame this one comes.
        """
        # Of a slow slide show, a few frames last longer than `MAX_JUMP_S`, and are no jump in either direction.
        tolerance_s = MAX_BACK_STEPS * self._step_s
        if step_s < -tolerance_s:
            return True
        return not self._gaps and late_s > max(MAX_JUMP_S, tolerance_s)
