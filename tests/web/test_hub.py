"""The hub, without sockets: what waits for whom, and what publishers are asked for."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from streamcam.transport.messages import RawMessage, Stamp, decode_header, encode_event_message, encode_status
from streamcam.web.hub import MAX_EVENTS, Hub, Topic, Watcher
from tests.support.messages import a_message, an_event

DOOR: Topic = ("door", "status")
YARD: Topic = ("yard", "status")


def raw(parts: list[bytes]) -> RawMessage:
    return RawMessage(decode_header(parts), parts)


def status(source: str = "door", seq: int = 0, *, publisher: str = "abc") -> RawMessage:
    return raw(encode_status(source, {"state": "live", "frames": seq}, Stamp(publisher, seq, 0)))


def event(seq: int = 0) -> RawMessage:
    return raw(encode_event_message(an_event(source="door"), Stamp("abc", seq, 0)))


def a_hub(*sources: str, endpoints: int = 1) -> Hub:
    """A hub that knows these sources of its first publisher."""
    hub = Hub(endpoints)
    hub.list_sources(0, sources, None)
    return hub


def seqs(watcher: Watcher, *, busy: Sequence[Topic] = ()) -> list[tuple[str, int]]:
    """Take all that waits: cameras and numbers."""
    taken = []
    while (message := watcher.pop(busy=busy)) is not None:
        taken.append((message.camera, message.raw.header.seq))
    return taken


def test_the_newest_message_of_a_topic_wins() -> None:
    hub = a_hub("door", "yard")
    with hub.watch({DOOR, YARD}) as watcher:
        for seq in range(5):
            hub.take(0, status("door", seq))
        hub.take(0, status("yard", 0))
        assert seqs(watcher) == [("door", 4), ("yard", 0)]
        assert watcher.skipped == 4


def test_a_busy_topic_keeps_its_place_and_starves_no_other() -> None:
    hub = a_hub("door", "yard")
    with hub.watch({DOOR, YARD}) as watcher:
        hub.take(0, status("door", 0))
        hub.take(0, status("yard", 0))
        hub.take(0, status("door", 1))
        assert [camera for camera, _ in seqs(watcher)] == ["door", "yard"]


def test_what_is_not_acknowledged_waits_and_the_rest_goes_on() -> None:
    hub = a_hub("door", "yard")
    with hub.watch({DOOR, YARD}) as watcher:
        hub.take(0, status("door", 0))
        hub.take(0, status("yard", 0))
        assert seqs(watcher, busy=[DOOR]) == [("yard", 0)]
        hub.take(0, status("door", 1))
        assert seqs(watcher) == [("door", 1)]


def test_all_events_are_kept_in_their_order() -> None:
    hub = a_hub("door")
    with hub.watch({("door", "event")}) as watcher:
        for seq in range(MAX_EVENTS + 3):
            hub.take(0, event(seq))
        assert seqs(watcher) == [("door", seq) for seq in range(3, MAX_EVENTS + 3)]
        assert watcher.skipped == 3


def test_a_late_watcher_gets_at_once_what_is_known() -> None:
    hub = a_hub("cam1")
    with hub.watch({("cam1", "result")}):
        hub.take(0, raw(a_message()))
        with hub.watch({("cam1", "result")}) as late:
            assert len(seqs(late)) == 1


def test_what_nobody_watches_any_more_is_forgotten() -> None:
    hub = a_hub("cam1")
    with hub.watch({("cam1", "result")}):
        hub.take(0, raw(a_message()))
        assert ("cam1", "result") in hub.last
    assert hub.last == {}
    with hub.watch({("cam1", "result")}) as watcher:
        assert seqs(watcher) == []


def test_the_status_of_each_camera_is_known_though_nobody_watches_it() -> None:
    hub = a_hub("door")
    hub.take(0, status("door", 3))
    assert hub.cameras["door"].status["frames"] == 3
    with hub.watch({DOOR}) as watcher:
        assert seqs(watcher) == [("door", 3)]


def test_publishers_are_asked_for_what_somebody_watches_and_for_nothing_else() -> None:
    hub = a_hub("door", "yard")
    assert hub.wants == [{}]
    with hub.watch({("door", "frame")}) as first:
        with hub.watch({("door", "result"), ("yard", "frame"), ("nobody", "frame")}):
            assert hub.wants == [{"door": {"frame", "result"}, "yard": {"frame"}}]
        assert hub.wants == [{"door": {"frame"}}]
        first.want({("yard", "overlay")})
        assert hub.wants == [{"yard": {"overlay"}}]
    assert hub.wants == [{}]


def test_a_camera_that_is_wanted_before_it_exists_is_asked_for_once_it_does() -> None:
    hub = a_hub()
    with hub.watch({("door", "frame")}):
        assert hub.wants == [{}]
        hub.list_sources(0, ["door"], None)
        assert hub.wants == [{"door": {"frame"}}]


def test_what_is_no_longer_wanted_does_not_come_any_more() -> None:
    hub = a_hub("door", "yard")
    with hub.watch({DOOR, YARD}) as watcher:
        hub.take(0, status("door"))
        watcher.want({YARD})
        hub.take(0, status("door", 1))
        assert seqs(watcher) == []


def test_sources_of_one_name_are_cameras_of_their_own() -> None:
    hub = a_hub("door", endpoints=2)
    hub.list_sources(1, ["door", "yard"], None)
    assert list(hub.cameras) == ["door", "door@2", "yard"]
    with hub.watch({DOOR, ("door@2", "status")}) as watcher:
        hub.take(0, status("door", 1, publisher="one"))
        hub.take(1, status("door", 2, publisher="two"))
        assert seqs(watcher) == [("door", 1), ("door@2", 2)]
        assert hub.wants == [{"door": {"status"}}, {"door": {"status"}}]


def test_a_camera_that_goes_and_comes_back_keeps_its_name_though_another_has_come() -> None:
    hub = a_hub("door", endpoints=2)
    hub.list_sources(0, [], None)
    assert hub.cameras == {}
    hub.list_sources(1, ["door"], None)
    hub.list_sources(0, ["door"], None)
    assert {camera.id: camera.endpoint for camera in hub.cameras.values()} == {"door": 0, "door@2": 1}


def test_watchers_are_told_when_cameras_change_and_only_then() -> None:
    hub = a_hub("door")
    with hub.watch() as watcher:
        watcher.cameras_changed = False
        hub.list_sources(0, ("door",), None)
        assert not watcher.cameras_changed
        hub.list_sources(0, ("door", "yard"), None)
        assert watcher.cameras_changed
        watcher.cameras_changed = False
        hub.list_sources(0, ("door", "yard"), "it does not list your key")
        assert watcher.cameras_changed
        assert hub.endpoints[0].refused == "it does not list your key"


def test_all_browsers_are_sent_the_same_bytes_which_are_made_once() -> None:
    hub = a_hub("cam1")
    with hub.watch({("cam1", "result")}) as one, hub.watch({("cam1", "result")}) as two:
        hub.take(0, raw(a_message()))
        first, second = one.pop(), two.pop()
        assert first is not None
        assert first is second
        assert first.framed is first.framed


def test_waiting_ends_with_a_message_and_with_the_hub() -> None:
    async def watch() -> list[int]:
        hub = a_hub("door")
        with hub.watch({DOOR}) as watcher:
            loop = asyncio.get_running_loop()
            loop.call_soon(hub.take, 0, status("door", 7))
            loop.call_later(0.02, hub.close)
            return [message.raw.header.seq async for message in watcher.messages()]

    assert asyncio.run(asyncio.wait_for(watch(), 10)) == [7]


STEPS = st.lists(st.tuples(st.sampled_from(["door", "yard", "take"]), st.booleans()), max_size=60)


@given(STEPS)
def test_a_watcher_never_goes_back_in_time_and_keeps_one_message_of_a_topic_at_most(
    steps: list[tuple[str, bool]],
) -> None:
    hub, seq, last = a_hub("door", "yard"), 0, {"door": -1, "yard": -1}
    with hub.watch({DOOR, YARD}) as watcher:
        for step, busy in steps:
            if step in last:
                hub.take(0, status(step, seq))
                seq += 1
            elif (message := watcher.pop(busy=[DOOR] if busy else ())) is not None:
                assert not (busy and message.camera == "door")
                assert message.raw.header.seq > last[message.camera]
                last[message.camera] = message.raw.header.seq
        left = seqs(watcher)
        assert len(left) <= 2
        assert all(number > last[camera] for camera, number in left)
