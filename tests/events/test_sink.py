"""Events in a run: what ends them from outside, and who is told."""

from dataclasses import dataclass, field, replace

import pytest

from streamcam.event import Event
from streamcam.events.sink import LATE_S, EventSink, describe
from streamcam.records import Result
from streamcam.sources.status import SourceStatus
from tests.events.test_detector import INSIDE, Footage, detector


@dataclass
class FakeCamera:
    name: str = "yard"
    status: SourceStatus = field(default_factory=lambda: SourceStatus("live"))
    clock_ns: int | None = None

    def camera_ns(self, pts_s: float) -> int | None:
        return None if self.clock_ns is None else self.clock_ns + round(pts_s * 1e9)


@dataclass
class FakeFiles:
    got: list[Event | Result] = field(default_factory=list)
    complete: list[Event] = field(default_factory=list)
    closed: bool = False

    def on_window(self, result: Result) -> None:
        self.got.append(result)

    def on_event(self, event: Event) -> None:
        self.got.append(event)
        if event.state == "end":
            self.complete.append(replace(event, state="saved", folder="2027/01/15/x", files=("event.json",)))

    def take_saved(self) -> list[Event]:
        taken, self.complete = self.complete, []
        return taken

    def close(self) -> None:
        self.closed = True


class Run:
    """A sink on one camera, with a clock that is set by hand."""

    def __init__(self, *, lossless: bool = False, files: FakeFiles | None = None) -> None:
        self.now_s, self.camera, self.told = 100.0, FakeCamera(), list[Event]()
        self.sink = EventSink(
            detector({"in": {}}),
            [self.camera],
            tell=self.told.append,
            files=files,
            lossless=lossless,
            clock=lambda: self.now_s,
        )

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.told]


def test_a_lost_camera_ends_its_event_once_no_result_is_on_its_way() -> None:
    run = Run()
    run.sink.on_window(Footage().next(INSIDE))
    run.camera.status = SourceStatus("lost", "nothing has come for 3 s")
    run.sink.tick()
    assert run.states == ["start"]
    run.now_s += LATE_S + 0.1
    run.sink.tick()
    run.sink.tick()
    assert run.states == ["start", "end"]
    assert run.told[-1].reason == "lost"
    assert run.sink.going == set()
    assert run.sink.counts == {("yard", "in"): 1}


@pytest.mark.parametrize(("kind", "reason"), [("live", "stopped"), ("ended", "ended")])
def test_the_end_of_a_run_ends_its_events(kind: str, reason: str) -> None:
    run = Run()
    run.sink.on_window(Footage().next(INSIDE))
    run.camera.status = replace(run.camera.status, kind=kind)  # type: ignore[arg-type]
    with run.sink:
        pass
    run.sink.close()
    assert run.states == ["start", "end"]
    assert run.told[-1].reason == reason


def test_lossless_results_are_waited_for_however_late() -> None:
    run, footage = Run(lossless=True), Footage()
    run.sink.on_window(footage.next(INSIDE))
    run.camera.status = SourceStatus("ended")
    run.now_s += 100
    run.sink.tick()
    run.sink.on_window(footage.next(INSIDE))
    run.sink.on_window(footage.next(None))
    assert run.states == ["start", "end"]
    assert run.told[-1].reason == "over"


def test_files_get_windows_and_records_and_all_hear_when_they_are_complete() -> None:
    files, footage = FakeFiles(), Footage()
    run = Run(files=files)
    for what in (INSIDE, None):
        run.sink.on_window(footage.next(what))
    assert [type(item).__name__ for item in files.got] == ["Result", "Event", "Result", "Event"]
    run.sink.tick()
    assert run.states == ["start", "end", "saved"]
    run.sink.on_window(footage.next(INSIDE))
    run.sink.close()
    assert files.closed
    assert run.states == ["start", "end", "saved", "start", "end", "saved"]


def test_the_cameras_own_clock_is_told_where_it_is_known() -> None:
    run = Run()
    run.camera.clock_ns = 1_700_000_000 * 10**9
    footage = Footage()
    run.sink.on_window(footage.next(None))
    run.sink.on_window(footage.next(INSIDE))
    assert run.told[0].camera_ns == 1_700_000_000 * 10**9 + 100_000_000


def test_the_clock_of_a_later_session_is_not_that_of_an_event_before() -> None:
    run = Run()
    run.camera.clock_ns = 1_700_000_000 * 10**9
    run.sink.on_window(Footage().next(INSIDE))
    run.camera.clock_ns = 1_800_000_000 * 10**9
    run.sink.on_window(Footage(session=1).next(INSIDE))
    assert [(event.session, event.state, event.camera_ns) for event in run.told] == [
        (0, "start", 1_700_000_000 * 10**9),
        (0, "end", 1_700_000_000 * 10**9),
        (1, "start", 1_800_000_000 * 10**9),
    ]


def test_an_event_is_one_line_for_people() -> None:
    run, footage = Run(), Footage()
    for what in (INSIDE, INSIDE, None):
        run.sink.on_window(footage.next(what))
    assert [describe(event) for event in run.told] == [
        "in: moving left, 100 %",
        "in: moving left, 100 %, over after 0.1 s",
    ]
    assert describe(replace(run.told[1], zone="gate", reason="lost")).endswith(
        "in gate, 100 %, over after 0.1 s (lost)"
    )
