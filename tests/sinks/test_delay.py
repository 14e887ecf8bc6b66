from dataclasses import replace

import pytest

from streamcam.records import Heat, Result
from streamcam.sinks.base import Sink
from streamcam.sinks.delay import DelaySink
from tests.support.frames import make_frame
from tests.support.publish_demo import heat_of


class Collects(Sink):
    def __init__(self) -> None:
        self.seen: list[Result] = []

    def on_frame(self, result: Result) -> None:
        self.seen.append(result)


def heats(count: int) -> list[Heat]:
    return [heat_of(i) for i in range(count)]


@pytest.mark.parametrize(("delay_s", "lag"), [(0.0, 0), (0.3, 3), (0.25, 3)])
def test_a_frame_waits_for_the_heat_that_is_known_so_much_later(delay_s: float, lag: int) -> None:
    sink, known = Collects(), heats(12)
    delayed = DelaySink([sink], delay_s=delay_s)
    for i in range(12):
        delayed.on_frame(Result(make_frame(i), known[i]))
    assert [r.frame.index for r in sink.seen] == list(range(12 - lag))
    assert [r.heat for r in sink.seen] == known[lag:]
    delayed.close()
    delayed.close()
    assert [r.frame.index for r in sink.seen] == list(range(12))
    assert all(r.heat is known[-1] for r in sink.seen[12 - lag :])


def test_a_new_session_does_not_wait_for_the_one_before_nor_lend_it_heat() -> None:
    sink, (old, new) = Collects(), heats(2)
    delayed = DelaySink([sink], delay_s=0.3)
    for i in range(5):
        delayed.on_frame(Result(make_frame(i), old))
    delayed.on_frame(Result(replace(make_frame(0), index=5, session=1), new))
    assert [r.frame.index for r in sink.seen] == [0, 1, 2, 3, 4]
    assert all(r.heat is old for r in sink.seen)


def test_each_source_waits_for_itself() -> None:
    sink = Collects()
    delayed = DelaySink([sink], delay_s=0.3)
    for i in range(5):
        delayed.on_frame(Result(make_frame(i, source="a")))
    delayed.on_frame(Result(make_frame(100, source="b")))
    assert [(r.frame.source, r.frame.index) for r in sink.seen] == [("a", 0), ("a", 1)]
