"""Take turns, sum up times, and print reports. No test says how fast anything is."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from streamcam.bench.cameras import CameraRun, missing_share
from streamcam.bench.engines import EngineTurn, camera_clips, matmul_turn
from streamcam.bench.measure import Spread, alternate, ratios, round_order, search_max_cameras, timed_ms
from streamcam.engines.backends import make_engine
from streamcam.metrics import Metrics, Summary
from streamcam.models.base import CamModel
from tests.support.commands import streamcam


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def taking(self, *seconds: float) -> Callable[[], float]:
        """Return a method whose turns take these times, one after the other."""
        left = iter(seconds)

        def turn() -> float:
            duration_s = next(left)
            self.now_s += duration_s
            return duration_s * 1e3

        return turn


def test_everybody_is_first_as_often_and_follows_everybody_else() -> None:
    rounds = [round_order("abc", i) for i in range(6)]
    assert all(sorted(names) == list("abc") for names in rounds)
    assert Counter(names[0] for names in rounds) == dict.fromkeys("abc", 2)
    followers = Counter(pair for names in rounds for pair in pairwise(names))
    assert set(followers.values()) == {2}
    assert len(followers) == 6


def test_turns_alternate_until_the_time_is_up_and_the_first_ones_do_not_count() -> None:
    clock = FakeClock()
    turns = {"a": clock.taking(9, 1, 1, 1, 1, 1), "b": clock.taking(9, 2, 2, 2, 2, 2)}
    shown: list[float] = []
    times_ms = alternate(turns, seconds=10, show=lambda done, _total: shown.append(done), clock=clock)
    assert times_ms == {"a": [1000.0] * 4, "b": [2000.0] * 4}
    assert shown == sorted(shown)
    assert shown[-1] == 10


def test_there_are_some_rounds_however_little_time_there_is() -> None:
    clock = FakeClock()
    assert alternate({"a": clock.taking(*[5] * 5)}, seconds=0, min_rounds=4, clock=clock) == {"a": [5000.0] * 4}


def test_a_spread_is_the_median_and_the_quartiles() -> None:
    assert Spread.of([5, 1, 2, 4, 3]) == Spread(3.0, 2.0, 4.0, 5)


def test_what_slows_a_whole_round_down_cancels_out_of_a_ratio() -> None:
    assert ratios([4, 40, 8], [1, 10, 2]) == Spread(4.0, 4.0, 4.0, 3)


def test_time_is_given_for_each_frame() -> None:
    clock = FakeClock()
    assert timed_ms(clock.taking(2.0), frames=4, clock=clock) == 500.0


def test_clips_of_the_camera_follow_each_other_by_the_hop(tiny: CamModel) -> None:
    clips = camera_clips(tiny.spec.clip_format, hop=3)
    first, second = next(clips), next(clips)
    assert first.full
    assert second.index - first.index == 3


def test_a_window_costs_its_frames_and_a_stream_one(tiny: CamModel) -> None:
    turns = {name: EngineTurn(make_engine(tiny, name=name, precision="fp32")) for name in ("window", "stream")}
    assert all(turn() > 0 for turn in turns.values())
    window, stream = (turn.gflop() for turn in turns.values())
    assert 3 < window / stream < 4.5  # 4 frames; at the ends of a clip there is less to do


def test_a_matrix_product_can_be_timed() -> None:
    assert matmul_turn(torch.device("cpu"), "fp32")() > 0


def run_of(cameras: int, missing: float) -> CameraRun:
    return CameraRun(cameras, missing, p50_ms=1.0, p95_ms=2.0, cores=1.0, memory_mb=100.0)


def test_the_most_cameras_are_found_by_doubling_and_halving() -> None:
    runs = search_max_cameras(lambda count: run_of(count, 0.0 if count <= 11 else 0.5))
    assert [(run.cameras, run.sustained) for run in runs] == [
        *((1, True), (2, True), (4, True), (8, True)),
        *((10, True), (12, False), (16, False)),
    ]


def test_what_fails_once_is_tried_again() -> None:
    tried: list[int] = []

    def attempt(count: int) -> CameraRun:
        tried.append(count)
        return run_of(count, 0.5 if count > 2 or tried == [1] else 0.0)

    assert [run.cameras for run in search_max_cameras(attempt) if run.sustained] == [1, 2]
    assert tried == [1, 1, 2, 4, 4, 3, 3]


def test_no_more_is_tried_once_the_time_is_up() -> None:
    left = iter([False, False, True, True])
    runs = search_max_cameras(lambda count: run_of(count, 0.0), enough=lambda: next(left))
    assert [run.cameras for run in runs] == [1, 2, 4]


def test_a_machine_that_is_too_slow_for_one_camera_has_none() -> None:
    assert [run.sustained for run in search_max_cameras(lambda count: run_of(count, 1.0))] == [False]


@pytest.mark.parametrize(
    ("frames", "windows", "results", "dropped", "missing"),
    [
        (100, 80, 80, 0, 0.0),
        (98, 80, 80, 0, 0.0),  # the run began and ended between two frames
        (100, 80, 72, 8, 0.1),
        (82, 80, 80, 0, 0.16),
        (100, 80, 0, 0, 1.0),
    ],
)
def test_what_is_missing_is_what_was_dropped_or_never_came(
    frames: int, windows: int, results: int, dropped: int, missing: float
) -> None:
    summary: Summary = Metrics().summary(model="m", model_hash="0", engine="stream", device="cpu", precision="fp32")
    drops = {"window": dropped} if dropped else {}
    summary = replace(summary, frames=frames, windows=windows, results=results, drops=drops, sources={"cam": {}})
    assert missing_share(summary, expected_frames=100) == pytest.approx(missing)


@pytest.mark.slow
def test_bench_says_what_a_frame_costs_and_how_many_cameras_that_makes(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = streamcam("bench", "--model", "motion", "--precision", "fp32", "--seconds", "0.1", "--json", out)
    assert done.returncode == 0, done.stderr
    assert "at 15 frames/s come through" in done.stdout
    report = json.loads(out.read_text())
    assert set(report["engines"]) == {"window", "stream"}
    for cost in report["engines"].values():
        assert 0 < cost["ms"]["low"] <= cost["ms"]["median"] <= cost["ms"]["high"]
        assert cost["gflop"] > 0
        assert cost["share"]["median"] > 0
    assert report["ratio"]["median"] > 1
    assert report["runs"][0]["cameras"] == 1
    assert report["cameras"] in {0, *(run["cameras"] for run in report["runs"])}


def test_bench_complains_of_a_place_to_write_to_before_it_begins(tmp_path: Path) -> None:
    done = streamcam("bench", "--json", tmp_path / "nowhere" / "out.json")
    assert done.returncode == 2
    assert "there is no folder" in done.stderr
