"""The overload: its verdict on seconds whose truth is known, and a few of the real thing."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.endurance.overload_verdict import first_and_last, judged_overload, p95_ms
from scripts.endurance.sample import Second

GOOD: dict[str, Any] = {"exit_code": 0, "disordered": 0, "malformed": 0}
STATUS: dict[str, Any] = {
    "state": "live",
    "frames": 1000,
    "windows": 900,
    "results": 400,
    "dropped_window": 495,
    "dropped_output": 20,
}


def seconds(*, mb_h: float = 0.0, ms_min: float = 0.0, minutes: int = 15) -> list[Second]:
    """A run with two cameras in which memory and latency grow by so much."""
    rng, made = np.random.default_rng(0), []
    for i in range(60 * minutes):
        ages_ms = {
            kind: (base_ms + ms_min * i / 60 + rng.exponential(10, count)).tolist()
            for kind, base_ms, count in (("result", 100, 20), ("overlay", 40, 30))
        }
        at_s = i + 1.0
        memory_mb = 500 + mb_h * at_s / 3600 + rng.normal(0, 0.3)
        made.append(Second(at_s, memory_mb, ages_ms, {"a": 10, "b": 10}, 40 * i))
    return made


def broken(made: list[Second], status: dict[str, Any] | None = None, **changed: Any) -> list[str]:
    of_each = {"a": STATUS, "b": STATUS if status is None else STATUS | status}
    return [check.what for check in judged_overload(made, GOOD | changed, of_each) if not check.ok]


def only_last(made: list[Second], **changed: Any) -> list[Second]:
    """The last minute is different."""
    return [*made[:-60], *(replace(s, **changed) for s in made[-60:])]


def test_a_good_run_is_good() -> None:
    assert broken(seconds()) == []


def test_the_first_minute_is_warm_up_and_the_next_is_held_against_the_last() -> None:
    first, last = first_and_last(seconds())
    assert [first[0].at_s, first[-1].at_s, last[0].at_s, last[-1].at_s] == [60, 119, 841, 900]
    short, end = first_and_last(seconds(minutes=2))
    assert [short[0].at_s, short[-1].at_s, end[0].at_s, end[-1].at_s] == [30, 59, 91, 120]


def test_of_a_minute_all_messages_count_and_not_means_of_its_seconds() -> None:
    few, many = Second(1, 0, {"result": [100.0]}, {}, 0), Second(2, 0, {"result": [1.0] * 99}, {}, 0)
    assert p95_ms([few, many], "result") == 1


def test_latency_that_grows_is_found_of_results_and_of_overlays() -> None:
    found = broken(seconds(ms_min=3))
    assert len(found) == 2
    assert [word in what for word, what in zip(("results", "overlays"), found, strict=True)] == [True, True]
    assert broken(seconds(ms_min=0.1)) == []


@pytest.mark.parametrize("kind", ["result", "overlay"])
def test_a_minute_in_which_nothing_came_is_no_good_minute(kind: str) -> None:
    made = seconds()
    (found,) = broken([replace(s, ages_ms=s.ages_ms | {kind: []}) if s.at_s > 840 else s for s in made])
    assert f"{kind}s" in found


def test_memory_that_grows_is_found() -> None:
    (found,) = broken(seconds(mb_h=40))
    assert "memory" in found


def test_a_run_that_dropped_nothing_was_no_overload() -> None:
    made = seconds()
    for calm in ([replace(s, drops=0) for s in made], only_last(made, drops=made[-1].drops)):
        (found,) = broken(calm)
        assert "drops" in found


def test_a_camera_that_is_starved_is_found() -> None:
    (found,) = broken(only_last(seconds(), results={"a": 20, "b": 0}))
    assert "no camera" in found


@pytest.mark.parametrize(
    "changed",
    [{"dropped_window": 400}, {"results": 300}, {"windows": 990}, {"results": 500}, {"windows": 0, "results": 0}],
)
def test_windows_that_are_neither_results_nor_dropped_are_found(changed: dict[str, int]) -> None:
    (found,) = broken(seconds(), status=changed)
    assert "windows = results + dropped" in found


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"exit_code": 1}, "ended"),
        ({"exit_code": None}, "ended"),
        ({"disordered": 1}, "order"),
        ({"malformed": 1}, "mal"),
    ],
)
def test_every_promise_can_be_broken(changed: dict[str, Any], word: str) -> None:
    (found,) = broken(seconds(), **changed)
    assert word in found


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_few_seconds_of_the_real_thing(tmp_path: Path) -> None:
    """What holds on any machine, however fast, slow or busy it is."""
    command = [
        sys.executable,
        "-m",
        "scripts.endurance.overload",
        "--minutes",
        "0.15",
        "--fit",
        "2",
        "--model",
        "imagenet-fast",
    ]
    command += ["--json", str(tmp_path / "overload.json"), "--chart", str(tmp_path / "overload.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads((tmp_path / "overload.json").read_text())
    assert done.returncode == int(not all(check["ok"] for check in found["checks"])), done.stderr
    kept = {check["what"] for check in found["checks"] if check["ok"]}
    assert kept >= {
        "the run ended when it was told to, without an error",
        "windows = results + dropped",
        "no result twice or out of order",
        "no malformed message",
    }, done.stdout
    assert len(found["checks"]) == 8
    assert found["status"].keys() == {"cam1", "cam2", "cam3", "cam4"}
    assert all(status["results"] > 0 for status in found["status"].values())
    assert len(found["seconds"]) == 9
    assert sum(len(second["ages_ms"].get("overlay", [])) for second in found["seconds"]) > 10
    assert sum(sum(second["results"].values()) for second in found["seconds"]) > 0
    assert all(second["rss_mb"] > 100 for second in found["seconds"])
    assert (tmp_path / "overload.png").stat().st_size > 10_000
