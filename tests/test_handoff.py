import time
from threading import Thread

import pytest

from streamcam.handoff import Handoff


def test_live_the_newest_stays_and_the_loss_is_told() -> None:
    handoff: Handoff[int] = Handoff(depth=2, lossless=False)
    assert [handoff.put("a", i) for i in range(4)] == [False, False, True, True]
    assert [handoff.get(timeout_s=0), handoff.get(timeout_s=0), handoff.get(timeout_s=0)] == [2, 3, None]


def test_lossless_a_full_queue_makes_its_writer_wait() -> None:
    handoff: Handoff[int] = Handoff(depth=2, lossless=True)
    got: list[int | None] = []
    writer = Thread(target=lambda: [handoff.put("a", i) for i in range(50)])
    writer.start()
    time.sleep(0.05)
    assert writer.is_alive()
    got = [handoff.get(timeout_s=1) for _ in range(50)]
    writer.join(1)
    assert got == list(range(50))


def test_sources_take_turns() -> None:
    handoff: Handoff[str] = Handoff(depth=3, lossless=False)
    for item in ("a1", "a2", "a3", "b1"):
        handoff.put(item[0], item)
    assert [handoff.get(timeout_s=0) for _ in range(4)] == ["a1", "b1", "a2", "a3"]


def test_what_is_queued_outlives_a_close_unless_discarded() -> None:
    for discard, expected in ((False, 1), (True, None)):
        handoff: Handoff[int] = Handoff(depth=2, lossless=True)
        handoff.put("a", 1)
        handoff.close(discard=discard)
        assert handoff.finished is discard
        assert handoff.get() == expected
        assert handoff.get() is None
        assert handoff.finished


@pytest.mark.parametrize("waits_for", ["room", "an item"])
def test_close_wakes_whoever_waits(waits_for: str) -> None:
    handoff: Handoff[int] = Handoff(depth=1, lossless=True)
    if waits_for == "room":
        handoff.put("a", 0)
    thread = Thread(target=lambda: handoff.put("a", 1) if waits_for == "room" else handoff.get())
    thread.start()
    time.sleep(0.05)
    assert thread.is_alive()
    handoff.close()
    thread.join(1)
    assert not thread.is_alive()
