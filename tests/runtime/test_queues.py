import time
from threading import Thread, Timer

import pytest

from streamcam.runtime.queues import BatchQueue, SourceQueue


def test_live_the_newest_stays_and_the_loss_is_told() -> None:
    queue: SourceQueue[int] = SourceQueue(depth=2, lossless=False)
    assert [queue.put("a", i) for i in range(4)] == [None, None, 0, 1]
    assert [queue.get(timeout_s=0), queue.get(timeout_s=0), queue.get(timeout_s=0)] == [2, 3, None]


def test_lossless_a_full_queue_makes_its_writer_wait() -> None:
    queue: SourceQueue[int] = SourceQueue(depth=2, lossless=True)
    got: list[int | None] = []
    writer = Thread(target=lambda: [queue.put("a", i) for i in range(50)])
    writer.start()
    time.sleep(0.05)
    assert writer.is_alive()
    got = [queue.get(timeout_s=1) for _ in range(50)]
    writer.join(1)
    assert got == list(range(50))


def test_sources_take_turns() -> None:
    queue: SourceQueue[str] = SourceQueue(depth=3, lossless=False)
    for item in ("a1", "a2", "a3", "b1"):
        queue.put(item[0], item)
    assert [queue.get(timeout_s=0) for _ in range(4)] == ["a1", "b1", "a2", "a3"]


def test_what_is_queued_outlives_a_close_unless_discarded() -> None:
    for discard, expected in ((False, 1), (True, None)):
        queue: SourceQueue[int] = SourceQueue(depth=2, lossless=True)
        queue.put("a", 1)
        queue.close(discard=discard)
        assert queue.finished is discard
        assert queue.get() == expected
        assert queue.get() is None
        assert queue.finished


@pytest.mark.parametrize("waits_for", ["room", "an item"])
def test_close_wakes_whoever_waits(waits_for: str) -> None:
    queue: SourceQueue[int] = SourceQueue(depth=1, lossless=True)
    if waits_for == "room":
        queue.put("a", 0)
    thread = Thread(target=lambda: queue.put("a", 1) if waits_for == "room" else queue.get())
    thread.start()
    time.sleep(0.05)
    assert thread.is_alive()
    queue.close()
    thread.join(1)
    assert not thread.is_alive()


def test_a_batch_closes_by_itself_when_its_first_clip_has_waited_long_enough() -> None:
    batches: BatchQueue[str] = BatchQueue()
    for source in "ab":
        batches.put(source, source)
    assert batches.get(limit=8, max_wait_s=60) == ["a", "b"]  # nobody else is known
    batches.put("a", "a1")
    assert batches.get(limit=8, max_wait_s=60, timeout_s=0.02) == []  # waits for b, but no longer than it is asked to
    start_s = time.monotonic()
    assert batches.put("a", "a2") == "a1"
    assert batches.get(limit=8, max_wait_s=0.2) == ["a2"]
    assert time.monotonic() - start_s > 0.1


def test_a_batch_closes_as_soon_as_the_last_camera_comes_or_leaves() -> None:
    for event in ("comes", "leaves"):
        batches: BatchQueue[str] = BatchQueue()
        for source in "ab":
            batches.put(source, source)
        batches.get(limit=8, max_wait_s=0)
        batches.put("a", "a1")
        timer = Timer(
            0.05, (lambda b: b.put("b", "b1")) if event == "comes" else (lambda b: b.remove_source("b")), [batches]
        )
        timer.start()
        assert batches.get(limit=8, max_wait_s=60) == (["a1", "b1"] if event == "comes" else ["a1"])


def test_batches_that_are_closed_give_what_is_left_unless_discarded() -> None:
    for discard in (False, True):
        batches: BatchQueue[int] = BatchQueue()
        for source in "abc":
            batches.put(source, 1)
        batches.close(discard=discard)
        assert batches.put("d", 1) is None
        assert [len(batches.get(limit=2, max_wait_s=9)) for _ in range(3)] == ([0, 0, 0] if discard else [2, 1, 0])
        assert batches.finished


def test_closing_wakes_who_waits_for_a_batch() -> None:
    batches: BatchQueue[int] = BatchQueue()
    thread = Thread(target=lambda: batches.get(limit=2, max_wait_s=9))
    thread.start()
    time.sleep(0.05)
    batches.close()
    thread.join(1)
    assert not thread.is_alive()
