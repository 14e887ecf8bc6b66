"""Rules on results: which events are found, and what is said of them."""

from datetime import UTC
from itertools import pairwise

import numpy as np
import pytest

from streamcam.config.events import RuleConfig, ZoneConfig
from streamcam.errors import StreamcamError
from streamcam.event import MAX_TUBE, Event
from streamcam.events.detector import EventDetector
from streamcam.events.rules import find_rules
from streamcam.heat.results import Link
from streamcam.records import Frame, Heat, Result, Transform

LABELS = ("still", "moving left", "camera moving")
LEFT: dict[str, object] = {"polygon": [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]}
STEP_S, SLICES, CELLS = 0.1, 4, 8
UNIX_NS = 1_800_000_000 * 10**9
SURE = 6.0
"""The logit of a class that happens in one cell; of one that does not, it is −SURE."""


class Footage:
    """Results of windows of four slices, of which each shows one more; a class happens in one cell at a time."""

    def __init__(self, *, source: str = "yard", session: int = 0) -> None:
        self._source, self._session = source, session
        self._slices: list[np.ndarray] = []

    def next(self, what: dict[str, tuple[float, float]] | None = None) -> Result:
        """The next slice shows these classes at these places (x, y), as fractions of the picture."""
        cube = np.zeros((len(LABELS), CELLS, CELLS), np.float32)
        for label, (x, y) in (what or {}).items():
            cube[LABELS.index(label), int(y * CELLS), int(x * CELLS)] = 2 * SURE * CELLS**2
        self._slices.append(cube)
        shown = np.stack(self._slices[-SLICES:], 1)
        newest = len(self._slices) - 1
        times = np.arange(newest - shown.shape[1] + 1, newest + 1) * STEP_S
        heat = Heat(
            cube=shown,
            common=np.zeros(shown.shape[1:], np.float32),
            classes=np.arange(len(LABELS)),
            labels=LABELS,
            scores=np.full(len(LABELS), 0.5, np.float32),
            logits=(shown.mean((1, 2, 3)) - SURE).astype(np.float32),
            scale=None,
            pts_s=times,
            clip_pts_s=(times[0], times[-1] + 0.3),
            transform=Transform(),
            model="tiny",
            model_hash="0" * 12,
            lookahead_s=0.3,
        )
        pts_s = float(times[-1] + 0.3)
        frame = Frame(None, newest, pts_s, UNIX_NS + round(pts_s * 1e9), self._source, session=self._session)
        return Result(frame, heat)


def detector(rules: dict[str, dict[str, object]], zones: dict[str, dict[str, object]] | None = None) -> EventDetector:
    found = find_rules(
        {
            name: RuleConfig.model_validate({"classes": ["moving left"], "gap_s": 0} | rule)
            for name, rule in rules.items()
        },
        {name: ZoneConfig.model_validate(zone) for name, zone in (zones or {}).items()},
        labels=LABELS,
        sources=["yard", "door"],
    )
    return EventDetector(found, link=Link(multi_label=True), timezone=UTC)


def run(found: EventDetector, footage: Footage, *moments: dict[str, tuple[float, float]] | None) -> list[Event]:
    return [event for what in moments for event in found.push(footage.next(what))]


INSIDE, OUTSIDE = {"moving left": (0.2, 0.6)}, {"moving left": (0.8, 0.6)}


def test_what_happens_in_the_zone_is_an_event_and_what_happens_beside_it_is_none() -> None:
    found = detector({"in": {"zone": "gate"}}, {"gate": LEFT})
    start, end = run(found, Footage(), None, OUTSIDE, OUTSIDE, INSIDE, INSIDE, OUTSIDE, None)
    assert (start.state, start.rule, start.zone, start.source) == ("start", "in", "gate", "yard")
    assert (start.start_pts_s, end.start_pts_s, end.pts_s) == pytest.approx((0.3, 0.3, 0.4))
    assert (end.state, end.reason, end.id) == ("end", "over", start.id)
    assert start.label == "moving left"
    assert end.peak == pytest.approx(1, abs=0.01)


def test_each_moment_counts_once_whichever_windows_show_it() -> None:
    footage = Footage()
    results = [footage.next(what) for what in (None, INSIDE, INSIDE, INSIDE, None, None)]
    every = detector({"in": {}})
    fewer = detector({"in": {}})
    all_of_them = [event for result in results for event in every.push(result)]
    # Two windows were dropped, but the next one shows their moments as well.
    some_of_them = [event for result in (results[0], results[3], results[5]) for event in fewer.push(result)]
    assert [event.state for event in all_of_them] == ["start", "end"]
    assert all_of_them == some_of_them


def test_times_are_those_of_the_moment_by_both_clocks() -> None:
    (start,) = run(detector({"in": {}}), Footage(), None, None, INSIDE)
    assert start.start_pts_s == pytest.approx(0.2)
    assert start.start_ns == UNIX_NS + 200_000_000
    assert start.id == "20270115T080000.200Z-yard-in"


def test_an_event_is_told_of_once_a_second_while_it_goes_on() -> None:
    events = run(detector({"in": {}}), Footage(), *[INSIDE] * 35, None)
    assert [event.state for event in events] == ["start", "update", "update", "update", "end"]
    assert [event.pts_s for event in events] == pytest.approx([0.0, 1.0, 2.0, 3.0, 3.4])
    assert len({event.id for event in events}) == 1


def test_the_tube_follows_the_heat_and_stays_short() -> None:
    moving = [{"moving left": (0.9 - 0.8 * i / 200, 0.5)} for i in range(200)]
    end = run(detector({"in": {}}), Footage(), *moving, None)[-1]
    assert 20 <= len(end.tube) <= MAX_TUBE
    centres = [(at.box.left + at.box.right) / 2 for at in end.tube]
    assert centres[0] > 0.8
    assert centres[-1] < 0.3
    assert all(later <= earlier + 1e-6 for earlier, later in pairwise(centres))
    assert end.tube[-1].pts_s <= end.pts_s


def test_a_camera_that_sways_raises_nothing_and_hides_nothing() -> None:
    swaying = {"camera moving": (0.5, 0.5)}
    found = detector({"in": {"quiet": {"Camera Moving": 0.5}}})
    assert run(found, Footage(), *[INSIDE | swaying] * 5, *[swaying] * 2) == []
    (start,) = run(found, Footage(session=1), *[INSIDE | swaying] * 5, INSIDE)
    assert start.state == "start"
    assert start.start_pts_s == pytest.approx(0.5)


def test_a_reconnect_ends_an_event_and_a_later_session_has_its_own() -> None:
    found = detector({"in": {}})
    (first,) = run(found, Footage(), INSIDE)
    end, second = run(found, Footage(session=1), INSIDE)
    assert (end.id, end.reason, end.session) == (first.id, "lost", 0)
    assert (second.state, second.session) == ("start", 1)


def test_results_of_a_session_that_has_ended_are_too_late() -> None:
    found, footage = detector({"in": {}}), Footage()
    run(found, footage, INSIDE)
    (end,) = found.end_source("yard", 0, "lost")
    assert end.reason == "lost"
    assert run(found, footage, INSIDE) == []
    assert found.end_source("yard", 0, "lost") == []


def test_sources_do_not_disturb_each_other() -> None:
    found = detector({"in": {"source": "door"}, "any": {}})
    assert [event.rule for event in run(found, Footage(source="yard"), INSIDE)] == ["any"]
    assert [event.rule for event in run(found, Footage(source="door"), INSIDE)] == ["in", "any"]
    assert {(event.source, event.reason) for event in found.end_all("stopped")} == {
        ("yard", "stopped"),
        ("door", "stopped"),
    }


def test_exclusive_classes_add_up() -> None:
    rules = {"in": RuleConfig(classes=["still", "moving left"], on=0.6, gap_s=0)}
    found = EventDetector(find_rules(rules, {}, labels=LABELS, sources=["yard"]), link=Link(multi_label=False))
    both = {"still": (0.2, 0.2), "moving left": (0.7, 0.7)}
    (start,) = run(found, Footage(), both)
    assert start.score == pytest.approx(1, abs=0.01)
    assert start.scores == pytest.approx({"still": 0.5, "moving left": 0.5}, abs=0.01)


@pytest.mark.parametrize(
    ("rule", "zone", "message"),
    [
        ({"classes": ["moving lef"]}, {}, "events.in: no such class: 'moving lef' .did you mean 'moving left'"),
        ({"classes": ["dancing"]}, {}, "no such class: 'dancing' .there are still, moving left"),
        ({"quiet": {"rain": 0.5}}, {}, "no such class: 'rain'"),
        ({"source": "yrad"}, {}, "events.in: no such source: 'yrad' .did you mean 'yard'"),
        ({"zone": "gate"}, {"source": "cellar"}, "zones.gate: no such source: 'cellar'"),
    ],
)
def test_unknown_names_are_explained(rule: dict[str, object], zone: dict[str, object], message: str) -> None:
    with pytest.raises(StreamcamError, match=message):
        detector({"in": rule}, {"gate": LEFT | zone})


def test_a_zone_outside_of_what_the_network_sees_is_refused() -> None:
    from dataclasses import replace

    result = Footage().next(INSIDE)
    assert result.heat is not None
    cropped = replace(result, heat=replace(result.heat, transform=Transform(0.6, 0.0, 1.0, 1.0)))
    with pytest.raises(StreamcamError, match="zone 'gate' lies outside of what tiny sees"):
        detector({"in": {"zone": "gate"}}, {"gate": LEFT}).push(cropped)
