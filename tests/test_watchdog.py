"""A thread that hangs is found, and nothing else is taken for one."""

import pytest

from streamcam.errors import StuckError
from streamcam.watchdog import FIRST_S, STUCK_S, Pulse, Watchdog


class Watched:
    """A pulse, a watchdog, and a clock that is looked at ten times a second."""

    def __init__(self) -> None:
        self.now_s, self.pulse = 0.0, Pulse()
        self.dog = Watchdog({"worker": self.pulse}, clock=lambda: self.now_s)

    def pass_s(self, seconds: float, *, tick_s: float = 0.1) -> None:
        for _ in range(round(seconds / tick_s)):
            self.now_s += tick_s
            self.dog.look()

    def piece(self, seconds: float) -> None:
        self.pulse.begin()
        self.pass_s(seconds)
        self.pulse.end()


@pytest.fixture
def warm() -> Watched:
    """The first piece of work is done."""
    watched = Watched()
    watched.piece(1.0)
    return watched


def test_a_piece_of_work_that_does_not_end_is_reported_with_all_stacks(
    warm: Watched, capfd: pytest.CaptureFixture[str]
) -> None:
    warm.pulse.begin()
    warm.pass_s(STUCK_S - 0.2)
    assert capfd.readouterr().err == ""
    with pytest.raises(StuckError, match=r"^worker has made no progress for 10 s"):
        warm.pass_s(0.5)
    assert capfd.readouterr().err.count("(most recent call first)") >= 1


def test_no_work_is_no_hang(warm: Watched) -> None:
    warm.pass_s(10 * STUCK_S)


def test_work_without_a_pause_is_no_hang(warm: Watched) -> None:
    for _ in range(10):
        warm.pulse.begin()
        warm.pass_s(STUCK_S / 2)
        warm.pulse.end()
        warm.pulse.begin()


def test_the_first_piece_may_take_minutes_since_networks_are_compiled() -> None:
    watched = Watched()
    watched.piece(FIRST_S - 1)
    watched.pulse.begin()
    with pytest.raises(StuckError):  # and that is nothing to go by
        watched.pass_s(STUCK_S + 1)


def test_a_first_piece_that_never_ends_is_reported_as_well() -> None:
    watched = Watched()
    watched.pulse.begin()
    with pytest.raises(StuckError):
        watched.pass_s(FIRST_S + 1)


def test_what_takes_long_each_time_is_given_time(warm: Watched) -> None:
    warm.piece(8)
    warm.piece(25)
    warm.pulse.begin()
    warm.pass_s(90)
    with pytest.raises(StuckError, match="for 100 s"):
        warm.pass_s(11)


def test_a_process_that_was_stopped_or_a_machine_that_slept_is_not_stuck(warm: Watched) -> None:
    warm.pulse.begin()
    warm.pass_s(5)
    warm.pass_s(3600, tick_s=3600)
    warm.pass_s(3)
    with pytest.raises(StuckError):
        warm.pass_s(3)
