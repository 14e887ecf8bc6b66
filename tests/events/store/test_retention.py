from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamcam.config.events import EventFilesConfig
from streamcam.errors import StreamcamError
from streamcam.events.store.event_store import EventStore, Size
from streamcam.events.store.retention import DAY_NS, Limits, Plan, Retention, plan
from tests.support.saved import NOON_NS, SECOND_NS, make_event, save

unhurried = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


GB = 10**9

sizes = st.builds(
    Size,
    id=st.uuids().map(str),
    start_ns=st.integers(0, 100).map(lambda days: NOON_NS - days * DAY_NS),
    size_bytes=st.integers(0, 5).map(lambda gigabytes: gigabytes * GB),
    kept=st.booleans(),
)
stored = st.lists(sizes, max_size=20, unique_by=lambda size: size.id)
limits = st.builds(
    Limits,
    days=st.none() | st.floats(0, 100),
    max_bytes=st.none() | st.integers(0, 50).map(lambda gigabytes: gigabytes * GB),
    free_bytes=st.none() | st.integers(0, 50).map(lambda gigabytes: gigabytes * GB),
)
free = st.integers(0, 50).map(lambda gigabytes: gigabytes * GB)


def decide(events: list[Size], limit: Limits, free_bytes: float = 0) -> Plan:
    return plan(events, limit, now_ns=NOON_NS, free_bytes=free_bytes)


@unhurried
@given(stored, limits, free)
def test_a_kept_event_is_never_removed(events: list[Size], limit: Limits, free_bytes: int) -> None:
    assert not any(event.kept for event in decide(events, limit, free_bytes).remove)


@unhurried
@given(stored, limits, free)
def test_no_event_is_removed_before_an_older_one(events: list[Size], limit: Limits, free_bytes: int) -> None:
    removed = decide(events, limit, free_bytes).remove
    assert list(removed) == sorted(removed, key=lambda event: event.start_ns)
    left = [event for event in events if not event.kept and event not in removed]
    assert not (removed and left) or removed[-1].start_ns <= min(event.start_ns for event in left)


@unhurried
@given(stored, limits, free)
def test_the_limits_are_met_or_it_is_said_why(events: list[Size], limit: Limits, free_bytes: int) -> None:
    decided = decide(events, limit, free_bytes)
    left = [event for event in events if event not in decided.remove]
    missed = unmet(limit, left, free_bytes + sum(event.size_bytes for event in decided.remove))
    assert len(decided.unmet) == missed
    assert not missed or all(event.kept for event in left)
    for event in left:
        assert event.kept or limit.days is None or NOON_NS - event.start_ns <= limit.days * DAY_NS


@unhurried
@given(stored, limits, free)
def test_no_more_is_removed_than_has_to_be(events: list[Size], limit: Limits, free_bytes: int) -> None:
    removed = decide(events, limit, free_bytes).remove
    if removed:
        fewer = removed[:-1]
        left = [event for event in events if event not in fewer]
        too_old = limit.days is not None and NOON_NS - removed[-1].start_ns > limit.days * DAY_NS
        assert too_old or unmet(limit, left, free_bytes + sum(event.size_bytes for event in fewer))


def unmet(limit: Limits, left: list[Size], free_bytes: float) -> int:
    """How many limits of size are not met."""
    too_much = limit.max_bytes is not None and sum(event.size_bytes for event in left) > limit.max_bytes
    too_full = limit.free_bytes is not None and free_bytes < limit.free_bytes
    return too_much + too_full


def test_without_limits_nothing_is_removed() -> None:
    assert decide([Size("a", 0, 10**15, False)], Limits()) == Plan(())


def test_an_event_of_tomorrow_is_the_newest() -> None:
    tomorrow = Size("b", NOON_NS + DAY_NS, GB, False)
    decided = decide([tomorrow, Size("a", NOON_NS, GB, False)], Limits(days=0.5, max_bytes=GB))
    assert [size.id for size in decided.remove] == ["a"]


def test_the_limits_of_a_configuration_are_in_bytes() -> None:
    config = EventFilesConfig.model_validate({"folder": "events", "days": None, "max_gb": 2.5, "free_gb": 0})
    assert Limits.of(config) == Limits(max_bytes=2.5 * GB, free_bytes=0)


def fill(folder: Path, count: int) -> EventStore:
    store = EventStore(folder)
    for i in range(count):
        store.add(save(folder, make_event(NOON_NS + i * SECOND_NS)))
    return store


def test_the_oldest_go_with_their_files(tmp_path: Path) -> None:
    with fill(tmp_path, 4) as store:
        each = store.sizes()[0].size_bytes
        gone = Retention(store, Limits(max_bytes=2 * each)).apply()
        assert [size.start_ns for size in gone] == [NOON_NS, NOON_NS + SECOND_NS]
        assert len(list(tmp_path.glob("2026/11/30/*"))) == len(store.find()) == 2


def test_an_event_that_is_kept_after_the_decision_stays(tmp_path: Path) -> None:
    with fill(tmp_path, 2) as store:
        removing = Retention(store, Limits(max_bytes=0))
        decided = removing.plan()
        store.keep(decided.remove[0].id)
        assert removing.apply(decided) == [decided.remove[1]]
        assert [one.event.id for one in store.find()] == [decided.remove[0].id]


def test_one_that_another_process_has_removed_is_no_failure(tmp_path: Path) -> None:
    with fill(tmp_path, 2) as store:
        removing = Retention(store, Limits(max_bytes=0))
        decided = removing.plan()
        store.remove(decided.remove[0].id)
        assert removing.apply(decided) == [decided.remove[1]]
        assert removing.failures == 0


def test_kept_events_that_are_too_much_are_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with fill(tmp_path, 1) as store:
        (size,) = store.sizes()
        store.keep(size.id)
        removing = Retention(store, Limits(max_bytes=0, free_bytes=GB), free_bytes=lambda _: GB)
        for _ in range(3):
            assert removing.apply() == []
        (told,) = caplog.messages
        assert "the kept events alone take" in told
        store.keep(size.id, False)
        assert removing.apply()
        store.add(save(tmp_path, make_event()))
        store.keep(size.id)
        removing.apply()
        assert len(caplog.messages) == 2


def test_a_disk_that_others_fill_is_told_of(tmp_path: Path) -> None:
    with fill(tmp_path, 1) as store:
        decided = Retention(store, Limits(free_bytes=GB), free_bytes=lambda _: 5.0).plan()
        assert len(decided.remove) == 1
        assert "something else fills it" in decided.unmet[0]


def test_one_that_cannot_be_removed_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with fill(tmp_path, 3) as store:
        first, *others = store.sizes()
        remove = EventStore.remove

        def refuse(self: EventStore, event_id: str, *, unless_kept: bool = False) -> bool:
            if event_id == first.id:
                raise StreamcamError("cannot use the folder: Permission denied")
            return remove(self, event_id, unless_kept=unless_kept)

        monkeypatch.setattr(EventStore, "remove", refuse)
        removing = Retention(store, Limits(max_bytes=0))
        assert removing.apply() == others
        assert removing.apply() == []
        assert removing.failures == 2
        assert len(caplog.messages) == 1


def test_the_disk_itself_is_measured(tmp_path: Path) -> None:
    with fill(tmp_path, 1) as store:
        assert Retention(store, Limits(free_bytes=1)).plan() == Plan(())
        assert len(Retention(store, Limits(free_bytes=1e18)).plan().remove) == 1
