"""Hysteresis, durations, gaps and cooldown of one rule."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcam.config.events import RuleConfig
from streamcam.events.track import Change, Observation, RuleTrack

STEP_S = 0.1


def run(scores: str | list[float], *, quiet: str = "", step_s: float = STEP_S, **rule: object) -> list[Change]:
    """Push scores, one each 0.1 s; of a text, each digit is a tenth. `quiet` marks moments with q."""
    values = [int(c) / 10 for c in scores] if isinstance(scores, str) else scores
    track = RuleTrack(RuleConfig.model_validate({"classes": ["x"], "on": 0.6, "off": 0.4, "gap_s": 0} | rule))
    changes: list[Change] = []
    for i, score in enumerate(values):
        is_quiet = quiet[i : i + 1] == "q"
        changes += track.push(Observation(round(i * step_s, 6), score, step_s=step_s, quiet=is_quiet))
    return [*changes, *track.end("stopped")]


def spans(changes: list[Change]) -> list[tuple[float, float]]:
    return [(change.start_pts_s, change.pts_s) for change in changes if change.kind == "end"]


def test_an_event_begins_at_on_and_ends_below_off() -> None:
    changes = run("0055765455320")
    # 0.6 is reached at 0.4 s; the last score of 0.4 or more is at 0.9 s.
    assert [change.kind for change in changes] == ["start", "end"]
    assert spans(changes) == [(0.4, 0.9)]
    assert changes[1].reason == "over"


def test_what_is_too_short_is_no_event() -> None:
    assert run("0777000777770", for_s=0.4) == [Change("start", 0.7, 1.1), Change("end", 0.7, 1.1, "over")]


def test_a_gap_is_bridged_and_a_longer_one_ends_the_event() -> None:
    assert spans(run("77007700077", gap_s=0.2)) == [(0.0, 0.5), (0.9, 1.0)]
    assert spans(run("77007700077", gap_s=0.3)) == [(0.0, 1.0)]


def test_nothing_begins_while_it_cools_down() -> None:
    changes = run("7700770077", cooldown_s=0.5)
    assert [change.start_pts_s for change in changes if change.kind == "start"] == [0.0, 0.8]


def test_an_event_may_begin_in_the_middle_of_a_high_score_when_it_has_cooled_down() -> None:
    assert [c.start_pts_s for c in run("7077777", cooldown_s=0.35) if c.kind == "start"] == [0.0, 0.4]


def test_missing_results_end_an_event_with_that_reason() -> None:
    track = RuleTrack(RuleConfig(classes=["x"], on=0.6, gap_s=0.5))
    track.push(Observation(0.0, 0.9, step_s=0.1))
    assert track.push(Observation(0.6, 0.9, step_s=0.1)) == []
    end, start = track.push(Observation(2.0, 0.9, step_s=0.1))
    assert end == Change("end", 0.0, 0.6, "no results")
    assert start == Change("start", 2.0, 2.0)


def test_a_disturbance_raises_no_event() -> None:
    assert run("0007777000", quiet="...qqqq...") == []
    # Nor does what it leaves behind, shorter than `for_s`.
    assert run("0007777700", quiet="...qqqq...", for_s=0.2) == []


def test_what_is_really_there_is_told_when_the_disturbance_is_over() -> None:
    changes = run("7777777777", quiet=".qqqqqq...", for_s=0.2)
    # It was there before; of the time, that of the disturbance does not count.
    assert [(c.kind, c.start_pts_s, c.pts_s) for c in changes] == [("start", 0.0, 0.8), ("end", 0.0, 0.9)]
    # It began meanwhile: from the first moment that could be judged.
    assert [c.start_pts_s for c in run("0077777777", quiet=".qqqqqq...", for_s=0.2) if c.kind == "start"] == [0.7]


def test_a_disturbance_does_not_end_an_event() -> None:
    assert spans(run("7777777770", quiet="..qqqqq...")) == [(0.0, 0.8)]


def test_outside_of_its_schedule_a_rule_begins_nothing() -> None:
    track = RuleTrack(RuleConfig(classes=["x"], on=0.6))
    assert track.push(Observation(0.0, 0.9, step_s=0.1, scheduled=False)) == []
    (start,) = track.push(Observation(0.1, 0.9, step_s=0.1))
    assert start.start_pts_s == 0.1
    assert track.push(Observation(0.2, 0.9, step_s=0.1, scheduled=False)) == []
    assert track.is_open


rules = st.fixed_dictionaries(
    {
        "on": st.sampled_from([0.3, 0.5, 0.8]),
        "off": st.sampled_from([0.1, 0.3]),
        "for_s": st.sampled_from([0.0, 0.2, 0.6]),
        "gap_s": st.sampled_from([0.0, 0.2, 0.5]),
        "cooldown_s": st.sampled_from([0.0, 0.4, 2.0]),
    }
)


@given(scores=st.lists(st.floats(0, 1), max_size=80), rule=rules, quiet=st.text(alphabet=".q", max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_scores_give_events_that_alternate_last_and_keep_apart(
    scores: list[float], rule: dict[str, float], quiet: str
) -> None:
    changes = run(scores, quiet=quiet, **rule)
    kinds = [change.kind for change in changes]
    assert kinds == ["start", "end"] * (len(kinds) // 2)
    found = spans(changes)
    assert all(end - start >= rule["for_s"] - 1e-5 for start, end in found)
    assert all(scores[round(start / STEP_S)] >= rule["on"] for start, _ in found)
    assert all(scores[round(end / STEP_S)] >= rule["off"] for _, end in found)
    assert all(later - end >= rule["cooldown_s"] - 1e-9 for (_, end), (later, _) in pairwise(found))
    for start, end in found:  # inside of an event, no gap is longer than allowed
        inside = [i for i in range(round(start / STEP_S), round(end / STEP_S) + 1) if scores[i] >= rule["off"]]
        assert all((b - a) * STEP_S <= rule["gap_s"] + STEP_S + 1e-9 for a, b in pairwise(inside))


def test_off_is_below_on_unless_said_otherwise() -> None:
    assert RuleConfig(classes=["x"], on=0.5).off_at == pytest.approx(0.4)
