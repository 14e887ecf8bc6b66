"""`scripts/gpu_check`: that it runs, and the arithmetic of it. What it measures takes a GPU."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scripts.gpu.check as gpu_check
from scripts.gpu import cuda_tests, targets
from scripts.gpu.common import Cameras
from scripts.gpu.memory import grew, markdown
from scripts.gpu.pace import Arrivals, run_at_pace
from scripts.gpu.timeline import Timeline, intersection, total, union
from streamcam.engines.backends import make_engine
from streamcam.models.base import CamModel
from tests.support.frames import TINY_FORMAT
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "gpu.md").read_text()

intervals = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda p: (min(p), max(p))), max_size=8)


def points_in(given_intervals: list[tuple[int, int]]) -> set[int]:
    """The unit steps that intervals cover."""
    return {x for start, end in given_intervals for x in range(start, end)}


@given(intervals, intervals)
def test_intervals_are_sets_of_points(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    both = intersection(a, b)
    assert total(a) == len(points_in(a))
    assert total(both) == len(points_in(a) & points_in(b))
    joined = union(a)
    assert all(before[1] < after[0] for before, after in pairwise(joined))


def event(cat: str, name: str, ts: float, dur: float) -> dict[str, Any]:
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur}


def test_a_timeline_says_how_much_of_the_copies_lies_under_computing() -> None:
    pinned, back, inside = (
        "Memcpy HtoD (Pinned -> Device)",
        "Memcpy DtoH (Device -> Pinned)",
        "Memcpy DtoD (Device -> Device)",
    )
    trace = {
        "traceEvents": [
            event("gpu_memcpy", pinned, 0, 10),  # before the first kernel: the flow begins
            event("kernel", "conv", 10, 20),
            event("gpu_memcpy", pinned, 15, 10),  # hidden
            event("gpu_memcpy", pinned, 28, 8),  # 2 hidden, 4 not, 2 hidden behind a copy within the device
            event("gpu_memcpy", inside, 34, 6),
            event("kernel", "conv", 40, 10),
            event("gpu_memcpy", back, 45, 10),  # 5 hidden, 5 after the last kernel
            event("cpu_op", "aten::conv3d", 0, 100),
            {"ph": "i", "name": "mark", "ts": 3},
        ]
    }
    timeline = Timeline.of(trace)
    assert timeline.span == [(10, 50)]
    assert timeline.overlapped == (10 + 2 + 2 + 5) / (10 + 8 + 5)
    assert timeline.busy(timeline.computing) == 36 / 40
    assert timeline.kinds == {pinned: 28, inside: 6, back: 10}
    assert Timeline.of({"traceEvents": []}).overlapped is None


def test_frames_come_in_order_each_cameras_too() -> None:
    arrivals = Arrivals.of(7, fps=10.0, seconds=2.0, first=31, jitter_s=0.3)
    assert len(arrivals.times_s) == 7 * 20
    assert np.all(np.diff(arrivals.times_s) >= 0)
    for camera in range(7):
        assert arrivals.indices[arrivals.cameras == camera].tolist() == list(range(31, 51))


def test_every_frame_that_comes_is_seen_or_counted_as_dropped(tiny: CamModel) -> None:
    engine = make_engine(tiny, name="stream", device="cpu", precision="fp32")
    cameras = Cameras(TINY_FORMAT, pool=16)
    arrivals = Arrivals.of(3, fps=50.0, seconds=0.4, first=3, jitter_s=0.005)
    outcome = run_at_pace(engine, cameras.clip, arrivals)
    assert outcome.frames == 60
    assert len(outcome.latencies_ms) + outcome.dropped == 60
    assert 1 <= outcome.batches <= len(outcome.latencies_ms)
    assert all(ms > 0 for ms in outcome.latencies_ms)


def test_clips_of_a_camera_in_memory_share_all_frames_but_the_newest() -> None:
    cameras = Cameras(TINY_FORMAT, pool=16)
    before, after = cameras.clip(5, 9), cameras.clip(5, 10)
    assert before.frames[1:].tolist() == after.frames[:-1].tolist()
    np.testing.assert_allclose(before.pts_s[1:], after.pts_s[:-1])
    assert after.index == 10


def test_memory_that_grows_is_told_from_memory_that_does_not() -> None:
    flat, more = {"allocated": 100.0, "device": 900.0}, {"allocated": 101.5, "device": 900.0}
    assert grew({"seen": [flat, more, flat]}) is False
    assert grew({"seen": [flat, flat, more]}) is True
    assert grew({"seen": [{"host": 1.0}, {"host": 2.0}]}) is None


@pytest.mark.parametrize(
    ("batches", "mb", "verdict"),
    [(50, 0.0, ": it did not grow."), (20, 0.0, "not shown: it did not grow so far."), (20, 5.0, ": it grew.")],
)
def test_memory_of_which_too_little_was_seen_is_not_said_to_be_flat(batches: int, mb: float, verdict: str) -> None:
    seen = [
        {"batches": n, "host": 1.0, "allocated": 100.0 + mb * (n > 0), "reserved": 1.0, "device": 900.0}
        for n in (0, batches)
    ]
    assert verdict in markdown({"batches": batches, "asked": 50, "seconds": 1.0, "seen": seen})


def test_memory_is_judged_after_all_batches_alone() -> None:
    def line(batches: int) -> str:
        seen = [{"allocated": 100.0}, {"allocated": 100.5}]
        return targets.table_of({"memory": {"batches": batches, "asked": 50_000, "seen": seen}}).splitlines()[-1]

    assert "| not measured yet |" in line(45_000)
    assert line(50_000).endswith("| 0.5 | ≤ 1.0 | met |")


def test_a_tests_outcome_is_read_from_pytest_itself(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.needs_cuda\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2\n"
        "def test_left_out(): pytest.skip('not here')\n"
    )
    (tmp_path / "test_other.py").write_text("import no_such_package\n# pytest.mark.needs_cuda\n")
    (tmp_path / "test_no_gpu.py").write_text("raise SystemExit\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = needs_cuda\nfilterwarnings = error\ntimeout = 9\n")
    files, report = cuda_tests.test_files(tmp_path), tmp_path / "report.xml"
    assert [file.name for file in files] == ["test_it.py", "test_other.py"]
    subprocess.run(cuda_tests.command(files, report), cwd=tmp_path, capture_output=True, check=False)
    tests = cuda_tests.outcomes(report.read_text())
    assert sorted(test["outcome"] for test in tests) == ["failed", "not run", "passed", "skipped"]
    assert next(test["why"] for test in tests if test["outcome"] == "not run") == "needs 'no_such_package'"
    text = cuda_tests.markdown({"tests": tests})
    assert text.startswith("1 of 4 passed.")
    assert "test_good" not in text


WITHOUT_PYAV = """
import importlib.abc, sys
import pytest

class Refusal(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "av":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusal())
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_tests_that_need_a_gpu_do_not_need_pyav() -> None:
    files = [
        "tests/engines/test_engines.py",
        "tests/engines/test_precision.py",
        "tests/gpu/test_image.py",
        "tests/test_cuda.py",
    ]
    options = ["--collect-only", "-qq", "-m", "needs_cuda", "-o", "addopts=", "-p", "no:cacheprovider"]
    command = [sys.executable, "-c", WITHOUT_PYAV, *options, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    collected = dict(line.split(": ") for line in done.stdout.splitlines() if line.startswith("tests/"))
    assert list(collected) == files


def test_of_half_precision_the_one_that_auto_takes_is_judged() -> None:
    def row(precision: str, logits: float, *, auto: bool) -> dict[str, Any]:
        found = {"logits": logits, "same_class": 1.0, "cosine": 0.9999}
        return {"model": "imagenet", "precision": precision, "auto": auto, **found}

    rows = [row("bf16", 0.05, auto=False), row("fp16", 0.006, auto=True)]
    lines = targets.table_of({"precision": {"rows": rows}}).splitlines()
    judged = [line for line in lines if "not measured yet" not in line][2:]
    assert [line.split("|")[2:-1] for line in judged] == [
        [" 0.60% ", " ≤ 1.00% ", " met "],
        [" 100% ", " ≥ 99% ", " met "],
        [" 0.9999 ", " ≥ 0.9990 ", " met "],
    ]


def test_the_worst_row_says_whether_a_target_is_met() -> None:
    def row(batch: int, share: float) -> dict[str, Any]:
        return {"model": "r3d_18", "precision": "bf16", "batch": batch, "share": {"graph": {"median": share}}}

    rows = [row(1, 0.1), row(16, 0.5), row(64, 0.34), {"model": "r3d_18", "precision": "bf16", "failed": "no memory"}]
    line = targets.table_of({"throughput": {"rows": rows, "latency": []}}).splitlines()[2]
    assert line.endswith("| 34% | ≥ 35% | missed |")
    assert all(target.what in PAGE for target in targets.TARGETS)


def test_a_point_that_fails_keeps_what_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe:
        sent: list[dict[str, Any]] = []  # noqa: RUF012

        def send(self, figures: dict[str, Any]) -> None:
            self.sent.append(figures)

    def measure(_plan: object) -> Any:
        yield {"rows": [1]}
        raise RuntimeError("CUDA error\nand much more")

    monkeypatch.setattr("scripts.gpu.heat.measure", measure)
    pipe = Pipe()
    gpu_check.one_point(pipe, "heat", 1.0, {"device": "cpu", "quick": True, "trace": None})  # type: ignore[arg-type]
    assert pipe.sent[-1] == {"rows": [1], "failed": "RuntimeError: CUDA error"}


def test_every_point_has_its_place_in_the_page() -> None:
    for name in (*gpu_check.POINTS, "machine", "targets"):
        assert PAGE.count(f"<!-- {name} -->") == PAGE.count(f"<!-- /{name} -->") == 1
    for name in gpu_check.POINTS:
        assert f"scripts/gpu_check --only {name}\n" in PAGE


@pytest.mark.timeout(400)  # nine processes
def test_all_points_run_on_a_processor_and_fill_the_page(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "gpu_check"), "--device", "cpu", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--trace", str(tmp_path / "traces")],
        env=os.environ | {"PYTHON": sys.executable, "PYTHONPATH": "", "FAIL_WITHOUT_CUDA": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert list(results["points"]) == list(gpu_check.POINTS)
    assert "failed" not in done.stdout
    assert "no table" not in done.stdout
    page = (tmp_path / "gpu.md").read_text()
    assert page.count("not measured yet") == len(targets.TARGETS)  # none is met by a processor
    assert (tmp_path / "gpu.png").stat().st_size > 10_000
    assert {path.name for path in (tmp_path / "traces").iterdir()} >= {"motion-stream.json", "cameras.json"}


@pytest.mark.parametrize("device", ["cuda:99", "cuda:x", "gpu"])
def test_a_gpu_that_is_not_there_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], device: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_check", "--device", device, "--out", str(tmp_path)])
    assert gpu_check.main() == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert line.startswith(f"no such device: {device} (")
    assert line.endswith("; to see that all works: --device cpu --quick")
    assert list(tmp_path.iterdir()) == []
