from streamcam.monitoring.event_counts import EventCounts
from tests.support.events import event

CAT, DOG = ("door", "cat"), ("door", "dog")


def test_rules_that_have_seen_nothing_are_at_zero() -> None:
    counts = EventCounts([CAT, DOG])
    assert counts.begun() == {CAT: 0, DOG: 0}
    assert counts.open() == {CAT: False, DOG: False}


def test_an_event_counts_once_however_many_records_it_has() -> None:
    counts = EventCounts([CAT, DOG])
    for state in ("start", "update", "update", "end", "saved"):
        counts.note(event(state=state))
    assert counts.begun() == {CAT: 1, DOG: 0}


def test_an_event_is_open_from_its_start_to_its_end() -> None:
    counts = EventCounts()
    seen = []
    for state in ("start", "update", "end", "saved"):
        counts.note(event(state=state))
        seen.append(counts.open()[CAT])
    assert seen == [True, True, False, False]


def test_a_late_end_does_not_end_the_next_event() -> None:
    counts = EventCounts()
    counts.note(event(id="1", state="start"))
    counts.note(event(id="2", state="start"))
    counts.note(event(id="1", state="end"))
    assert counts.open() == {CAT: True}
    assert counts.begun() == {CAT: 2}
