"""A stream's timestamps, as containers give them → times that rise. Pure: seconds in, seconds out.

Containers give a picture a time to be shown (pts), a time to be decoded (dts), one of them, or none; broken ones give
wrong times. `Order` finds the time of each picture on the stream's own clock. `Course` follows that clock, also where
it is set.
"""

from collections import deque
from typing import NamedTuple

MAX_JUMP_S = 10.0
"""A time that is further ahead than this is a new beginning, and not a long wait."""

MAX_BACK_STEPS = 4
"""A time that goes back by more frames than this is a new beginning, and not a muxer's mistake."""

MAX_BACK_S = 0.1
"""The same for sound, in seconds."""

WRAP_S = 2**33 / 90_000
"""MPEG's clocks begin again after so long, 26.5 hours."""

KEPT = 64
"""More packets than any decoder holds back."""


class Order:
    """The times of a decoder's pictures on the stream's own clock.

    Where the container has times to be shown, these are taken. Where it has times to be decoded alone (AVI, ASF), or
    calls these times to be shown, they rise from packet to packet; a decoder that holds back two packets gives

        packets, as decoded   I0  P3  B1  B2  P6  B4 …      dts  0  1  2  3  4  5 …
        pictures, as shown            I0  B1  B2  P3 …      each has the dts of two packets ago: 0  1  2  3 …
    """

    def __init__(self, step_s: float, *, holds_back: int = KEPT, gaps: bool = False) -> None:
        """Begin; also anew after a seek.

        Args:
            step_s: how long a picture lasts, about.
            holds_back: how many packets the decoder holds back at most; else, as many as before its first picture.
            gaps: whether a long step ahead is one, as for `Course`, and no mistake.
        """
        self._gaps = gaps
        self._max_back_s, self._holds_back = MAX_BACK_STEPS * step_s, holds_back
        self._packets: deque[tuple[float | None, float | None]] = deque(maxlen=KEPT)
        self._sent = 0
        self._all_have_pts, self._all_have_dts, self._differ, self._rise = True, True, False, True
        self._set_at = -KEPT  # the number of the packet with which the stream's clock was last set
        self._held: int | None = None
        self._shown = -1  # the number of the packet in whose turn the last picture was shown
        self._early_s = 0.0
        self._last_pts_s: float | None = None
        self._distrusted = False

    def sent(self, pts_s: float | None, dts_s: float | None) -> None:
        """A packet goes into the decoder, with the container's times in seconds, as far as it has any."""
        last_pts_s, last_dts_s = self._packets[-1] if self._packets else (None, None)
        if dts_s is not None and last_dts_s is not None and self._jumps(dts_s - last_dts_s):
            self._set_at = self._sent
        elif pts_s is not None and last_pts_s is not None and pts_s <= last_pts_s:
            self._rise = False
        self._all_have_pts &= pts_s is not None
        self._all_have_dts &= dts_s is not None
        self._differ |= pts_s is not None and dts_s is not None and pts_s != dts_s
        self._packets.append((pts_s, dts_s))
        self._sent += 1

    def time_of(self, pts_s: float | None) -> float | None:
        """The time of the picture that comes out next; None where the container says nothing of it.

        Args:
            pts_s: the time to be shown of the packet that the picture comes from.
        """
        is_first = self._shown < 0
        decoded_s = self._decoded_s()
        if decoded_s is None:
            return pts_s
        if pts_s is not None and (is_first or (self._has_pts and not self._is_wrong(pts_s))):
            self._early_s, self._last_pts_s = pts_s - decoded_s, pts_s
        return decoded_s + self._early_s

    @property
    def _has_pts(self) -> bool:
        """Whether there are times to be shown, and not what FFmpeg makes of the others."""
        if self._distrusted or (self._all_have_dts and not self._all_have_pts):
            return False
        return self._sent == 1 or not self._rise or (self._all_have_dts and self._differ)

    def _is_wrong(self, pts_s: float) -> bool:
        """Whether a picture's time is out of order, though the clock was not set; then the others are not believed."""
        if self._last_pts_s is None:
            return False
        step_s = pts_s - self._last_pts_s
        if self._jumps(step_s) and self._sent - self._set_at <= KEPT:
            self._set_at = -KEPT
            return False
        self._distrusted |= step_s <= 0
        return step_s <= 0 or (self._jumps(step_s) and not self._gaps)

    def _jumps(self, step_s: float) -> bool:
        return not -self._max_back_s <= step_s <= MAX_JUMP_S

    def _decoded_s(self) -> float | None:
        """The time, to be decoded, of the packet in whose turn the picture is shown; None where that is not known."""
        self._held = min(self._sent - 1, self._holds_back) if self._held is None else self._held
        self._shown = max(self._shown + 1, self._sent - 1 - self._held)
        kept = self._shown - (self._sent - len(self._packets))
        if not 0 <= kept < len(self._packets):
            return None
        pts_s, dts_s = self._packets[kept]
        if self._all_have_dts:
            return dts_s
        return pts_s if self._all_have_pts and self._rise else None


class Place(NamedTuple):
    """Where a picture lies."""

    at_s: float
    """Seconds from the beginning; more than the picture's before."""
    is_new: bool
    """Whether the clock was set before it."""


class Course:
    """Times on a stream's own clock → times that rise, from 0 at the clock's `begin_s`.

    Where the clock is set, time goes on as if the next picture came when the last had lasted its time. Times that are
    missing, doubled, or a little out of order are put right.
    """

    def __init__(self, step_s: float, *, begin_s: float = 0.0, gaps: bool = False) -> None:
        """Begin.

        Args:
            step_s: how long a picture lasts, where that is not told.
            begin_s: the clock's time at the beginning.
            gaps: whether a long step ahead is one: nothing was to be seen meanwhile, and the clock was not set.
        """
        self._step_s, self._gaps = step_s, gaps
        self._shift_s, self._turns = -begin_s, 0
        self._known_s: float | None = None
        self._at_s: float | None = None
        self._lasts_s = step_s
        self.stretches: list[tuple[float, float]] = [(begin_s, 0.0)]
        """Where the clock ran without being set: what it showed at the beginning of each, and when that was."""

    def place(self, own_s: float | None, lasts_s: float | None = None) -> Place:
        """Take the next picture.

        Args:
            own_s: its time; None where it has none.
            lasts_s: how long it lasts, where the container tells.
        """
        due_s = 0.0 if self._at_s is None else self._at_s + self._lasts_s
        is_new, at_s = False, due_s
        if own_s is not None:
            own_s = self._unwrapped(own_s)
            is_new = self._known_s is not None and self._is_set(own_s - self._known_s, due_s - self._shift_s - own_s)
            if is_new:
                self._shift_s = due_s - own_s
                self.stretches.append((own_s, due_s))
            self._known_s, at_s = own_s, own_s + self._shift_s
        if self._at_s is not None and at_s <= self._at_s:
            at_s = max(at_s + self._lasts_s, self._at_s + self._lasts_s / 4)
        self._at_s, self._lasts_s = at_s, lasts_s or self._step_s
        return Place(at_s, is_new)

    def on_course(self, own_s: float) -> float:
        """The same for a time out of turn."""
        return own_s + self._turns * WRAP_S + self._shift_s

    def _unwrapped(self, own_s: float) -> float:
        if self._known_s is not None and abs(own_s + (self._turns + 1) * WRAP_S - self._known_s) < MAX_JUMP_S:
            self._turns += 1
        return own_s + self._turns * WRAP_S

    def _is_set(self, ahead_s: float, early_s: float) -> bool:
        """Whether a clock was set, by how far a time is ahead of the last, and how much earlier than it was due."""
        if ahead_s < -MAX_BACK_STEPS * self._step_s:
            return True
        return not self._gaps and -early_s > max(MAX_JUMP_S, MAX_BACK_STEPS * self._step_s)
