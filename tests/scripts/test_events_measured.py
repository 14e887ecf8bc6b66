import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.events.cache import Cache, scores_of
from scripts.events.disturb import disturbed, render, write
from scripts.events.draw import main as draw
from scripts.events.footage import Footage, find_footage
from scripts.events.judge import FALSE, TRUE, UNCLEAR, Found, Span, Truth, find_events, judge, judge_bursts, truth_of
from scripts.events.measure import HERE, clipped, levels, main, truth_for, with_quiet
from scripts.events.truth import watch
from scripts.events.weather import CROP, KINDS, MOST_SWAY, Burst, bursts, kept, shifted
from scripts.footage.photographs import photograph
from streamcam.config.events import RuleConfig, ZoneConfig
from streamcam.config.run import RunConfig
from streamcam.config.yaml_file import read_yaml
from streamcam.errors import StreamcamError
from streamcam.events.track import Observation
from streamcam.records import Image, Transform
from streamcam.runtime.trial import try_rules

ALL = Span(0, 100)
RIGHT_HALF = [(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]


def moments(*spans: tuple[float, float, int], until_s: float = 10.0) -> tuple[list[float], list[int]]:
    """Every 0.1 s; the spans are from, to and the level there."""
    times = [round(0.1 * i, 1) for i in range(round(10 * until_s))]
    return times, [next((level for a, b, level in spans if a <= t <= b), FALSE) for t in times]


def event(start_s: float, end_s: float) -> Found:
    return Found(Span(start_s, end_s), told_s=start_s + 0.2)


def test_what_is_true_for_a_moment_only_is_unclear() -> None:
    truth = truth_of(*moments((2, 2.3, TRUE), (5, 5.5, TRUE)))
    assert truth.true == [Span(5, 5.5)]
    assert judge([event(2.1, 2.2)], truth, ALL).unclear == 1


def test_a_short_gap_does_not_make_two_of_one() -> None:
    assert truth_of(*moments((2, 3, TRUE), (3.4, 4, TRUE), (6, 7, TRUE))).true == [Span(2, 4), Span(6, 7)]


def test_events_are_right_false_or_count_for_nobody() -> None:
    truth = truth_of(*moments((2, 3, TRUE), (5, 6, UNCLEAR), (8, 9, TRUE)))
    found = [event(2.5, 4), event(5.2, 5.4), event(6.9, 7.2)]
    verdict = judge(found, truth, ALL)
    assert (verdict.true, verdict.found, verdict.false, verdict.unclear) == (2, 1, 1, 1)
    assert verdict.row()["missed"] == 1
    assert verdict.row()["false_per_hour"] == 36
    assert (verdict.row()["delay_s"], verdict.row()["told_s"]) == (0.5, 0.7)


def test_two_events_on_one_true_time_are_one_found_and_none_false() -> None:
    verdict = judge([event(2, 2.4), event(4, 4.4)], Truth([Span(2, 5)], [Span(1.7, 5.3)]), ALL)
    assert (verdict.true, verdict.found, verdict.false) == (1, 1, 0)


def test_an_event_right_beside_a_true_time_is_not_false() -> None:
    assert judge([event(3.1, 3.3)], truth_of(*moments((2, 3, TRUE))), ALL).unclear == 1


def test_only_a_part_of_the_footage_counts() -> None:
    truth = Truth([Span(2, 3), Span(7, 8)], [])
    found = [event(2, 3), event(5.5, 5.6), event(7, 8)]
    first, second = judge(found, truth, Span(0, 5)), judge(found, truth, Span(5, 10))
    assert (first.true, first.found, first.false, second.true, second.found, second.false) == (1, 1, 0, 1, 1, 1)
    assert (first + second).seconds == 10


def test_within_bursts_only_what_touches_one_counts() -> None:
    truth = Truth([Span(2, 4), Span(7, 8)], [Span(1.7, 4.3), Span(6.7, 8.3)])
    found = [event(2, 2.5), event(4.6, 4.8), event(7, 8), event(9, 9.5)]
    verdict = judge_bursts(found, truth, [Span(3, 5)])
    assert (verdict.true, verdict.found, verdict.false, verdict.unclear, verdict.seconds) == (1, 1, 1, 0, 2)


def test_what_is_true_before_the_first_score_is_not_asked_for() -> None:
    truth = Truth([Span(0, 0.9), Span(0, 3)], [])
    assert clipped(truth, 0.8, 9).true == [Span(0.8, 3)]


def test_a_rule_that_is_quiet_begins_afterwards() -> None:
    rule = RuleConfig(classes=["moving left"], on=0.5, quiet={"camera moving": 0.5})
    seen = [Observation(0.1 * i, 0.9, step_s=0.1, quiet=i < 5) for i in range(20)]
    assert [round(found.span.start_s, 1) for found in find_events(rule, seen)] == [0.5]


def test_bursts_are_2_to_6_s_long_with_pauses_and_the_same_for_a_seed() -> None:
    found = bursts(300, seed=4)
    assert found == bursts(300, seed=4) != bursts(300, seed=5)
    assert all(2 <= round(b.end_s - b.start_s, 1) <= 6 for b in found[:-1])
    assert all(2 <= round(b.start_s - a.end_s, 1) <= 6 for a, b in pairwise(found))


def picture() -> Image:
    return np.asarray(cv2.cvtColor(photograph("gravel")[:120, :200], cv2.COLOR_GRAY2RGB), np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_disturbance_is_the_same_for_a_seed_and_ends_with_its_burst(kind: str) -> None:
    frames, found = [picture()] * 40, [Burst(1, 3, seed=7)]
    once, again = (np.stack(list(disturbed(frames, Fraction(10), kind, found))) for _ in range(2))
    assert np.array_equal(once, again)
    calm = shifted(frames[0]) if kind == "shake" else frames[0]
    is_calm = [bool(np.array_equal(frame, calm)) for frame in once]
    assert all(is_calm[:10])
    assert all(is_calm[30:])
    assert sum(is_calm[10:30]) <= 4
    assert not np.array_equal(once, np.stack(list(disturbed(frames, Fraction(10), kind, [Burst(1, 3, seed=8)]))))


def test_a_swaying_picture_shows_no_border() -> None:
    ramp = np.repeat(np.linspace(0, 255, 200, dtype=np.float32)[None, :, None], 120, 0).repeat(3, 2).astype(np.uint8)
    for reach in (-MOST_SWAY * 200, MOST_SWAY * 200):
        row = shifted(ramp, reach)[60, :, 0].astype(int)
        assert row[0] < row[2]
        assert row[-3] < row[-1]


def test_a_zone_is_found_again_in_the_footage_before_it_was_cut() -> None:
    footage = Footage(Path("a.mp4"), Path("b.mp4"), "shake", kept(200, 100))
    corners = footage.in_clean(ZoneConfig(polygon=[(0, 0), (1, 0), (1, 1)]))
    assert corners == pytest.approx(np.array([(CROP, 2 * CROP), (1 - CROP, 2 * CROP), (1 - CROP, 1 - 2 * CROP)]))


def moving_stone(path: Path, *, fps: int = 15) -> Path:
    """A brick of 60 pixels goes left by 70 pixels a second in the right half, for a second; then it stands."""
    ground = np.asarray(cv2.cvtColor(photograph("gravel")[:240, :320], cv2.COLOR_GRAY2RGB), np.uint8)
    brick = np.asarray(cv2.cvtColor(photograph("brick")[:60, :60], cv2.COLOR_GRAY2RGB), np.uint8)
    frames = []
    for i in range(3 * fps):
        frame = ground.copy()
        left = 250 - round(70 * min(max(i / fps - 1, 0), 1))
        frame[90:150, left : left + 60] = brick
        frames.append(frame)
    write(path, iter(frames), Fraction(fps))
    return path


def test_flow_tells_when_something_goes_left_in_a_zone(tmp_path: Path) -> None:
    video = moving_stone(tmp_path / "stone.mp4")
    zones = {"whole": None, "right": RIGHT_HALF, "left": [(0, 0), (0.5, 0), (0.5, 1), (0, 1)]}
    moving = watch(video, zones, Transform())
    there = moving["right"]
    truth = truth_of(there.times, levels(there, "left"))
    assert len(truth.true) == 1
    assert truth.true[0].start_s == pytest.approx(1.0, abs=0.25)
    assert truth.true[0].end_s == pytest.approx(2.0, abs=0.25)
    assert not truth_of(there.times, levels(there, "right")).true
    assert not truth_of(there.times, levels(moving["left"], "any")).true
    rule = RuleConfig(classes=["moving left", "moving right"])
    whole = truth_for(rule, Footage(video, video, "plain"), moving, {})
    assert whole is not None
    assert len(whole.true) == 1


def test_what_moves_outside_of_the_masks_is_unclear(tmp_path: Path) -> None:
    video = moving_stone(tmp_path / "stone.mp4")
    nothing = np.zeros((45, 240, 320), np.bool_)
    np.savez(video.with_suffix(".npz"), masks=nothing, pts_s=np.arange(45) / 15)
    there = watch(video, {"right": RIGHT_HALF}, Transform())["right"]
    found = levels(there, "left")
    assert TRUE not in found
    assert UNCLEAR in found


def test_only_looking_tells_who_approaches() -> None:
    rule = RuleConfig(classes=["approaching"])
    footage = Footage(Path("way/a.mp4"), Path("way/a.mp4"), "plain")
    assert truth_for(rule, footage, {}, {}) is None
    seen = truth_for(rule, footage, {}, {"a.mp4": {"approaching": [[1, 2]]}})
    assert seen is not None
    assert seen.true == [Span(1, 2)]
    throughout = truth_for(rule, footage, {}, {"way": {"approaching": "all"}})
    assert throughout is not None
    assert len(throughout.true) == 1


def test_a_disturbed_video_needs_the_one_that_it_was_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = moving_stone(tmp_path / "stone.mp4")
    shaken = tmp_path / "made" / "shaken.mp4"
    shaken.parent.mkdir()
    render(clean, "shake", shaken, seed=2)
    assert main([str(shaken), "--cache", str(tmp_path / "cache")]) == 2
    assert "was made of stone.mp4" in capsys.readouterr().err
    of = {footage.kind: footage.clean for footage in find_footage([clean, shaken])}
    assert of == {"plain": clean, "shake": clean}


def test_a_file_that_is_no_video_is_said_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_text("no video")
    with pytest.raises(StreamcamError, match="expected a video"):
        render(file, "rain", tmp_path / "b.mp4")


def test_a_video_that_is_too_short_for_a_window_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = tmp_path / "short.mp4"
    write(video, iter([picture()] * 20), Fraction(15))
    assert main([str(video), "--cache", str(tmp_path / "cache")]) == 0
    assert "short.mp4: left out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stone_that_goes_left_is_measured_with_the_events_of_a_run(tmp_path: Path) -> None:
    video = moving_stone(tmp_path / "stone.mp4")
    figures = tmp_path / "figures.json"
    assert main([str(video), "--cache", str(tmp_path / "cache"), "--json", str(figures)]) == 0
    rows = json.loads(figures.read_text())
    assert rows["plain/to-the-left/quiet"]["true"] == 1
    assert rows["plain/to-the-right/quiet"]["true"] == 0
    config = RunConfig(**read_yaml(HERE / "rules.yaml"))
    scores = scores_of(Footage(video, video, "plain"), config, Cache(tmp_path / "cache"))
    trial = try_rules(config, str(video))
    for name, rule in config.events.items():
        spans = [(found.span.start_s, found.span.end_s) for found in find_events(rule, with_quiet(rule, name, scores))]
        assert spans == [(event.start_pts_s, event.pts_s) for event in trial.events if event.rule == name]
    chart = tmp_path / "chart.png"
    assert draw([str(video), "--cache", str(tmp_path / "cache"), "-o", str(chart), "--only", "to-the-left"]) == 0
    assert chart.stat().st_size > 1000
