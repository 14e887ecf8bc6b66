"""The whole way: a rendered set, `imagenet`, a report, a table and a sheet."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.footage.render_eval_set import render
from streamcam.evaluate.scores import FIGURES
from tests.support.commands import streamcam

pytestmark = pytest.mark.slow


EVAL = ("eval", "--model", "imagenet")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short clips (a cat, a cup, both in turn) and two pictures."""
    folder = tmp_path_factory.mktemp("set")
    render(folder, clips=3, pictures=2, seconds=3.4)
    return folder


def test_heat_beats_the_baselines_on_the_rendered_set(rendered: Path, tmp_path: Path) -> None:
    outputs: Sequence[str | Path] = ("--json", tmp_path / "out.json", "--sheet", tmp_path / "out.png")
    done = streamcam(*EVAL, rendered, "--limit", "3", *outputs)
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    assert all(word in shown for word in ("centred", "raw", "random", "centre", "top-1"))
    report = json.loads((tmp_path / "out.json").read_text())
    by = report["methods"]
    assert list(by) == ["centred", "raw", "random", "centre"]
    assert set(by["centred"]) == set(FIGURES)
    for figure in ("points", "energy", "box_acc", "box_acc_v2", "pxap", "time_iou", "tube_iou"):
        rival = max(by["random"][figure], by["centre"][figure])
        assert by["centred"][figure] > rival, figure
    assert by["centred"]["points"] > 0.9 > report["chance"]
    assert by["centred"]["insertion"] is None
    assert report["accuracy"]["top1"] > 0.5
    assert report["classes"]["cup"] == ["espresso", "cup", "coffee mug"]
    assert {case["class"] for case in report["cases"]} == {"cat", "cup"}
    sheet = cv2.imread(str(tmp_path / "out.png"))
    assert sheet is not None
    assert sheet.std() > 20


@pytest.fixture(scope="module")
def pictures(rendered: Path) -> Path:
    """The stills of the set alone."""
    (rendered / "pictures" / "classes.yaml").write_text((rendered / "classes.yaml").read_text())
    return rendered / "pictures"


def test_grad_cam_and_insertion_may_be_asked_for(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ("--limit", "1", "--method", "grad-cam", "--insertion", "2")
    assert streamcam(*EVAL, pictures, *options, "--json", out).returncode == 0
    by = json.loads(out.read_text())["methods"]
    assert by["grad-cam"]["points"] == by["raw"]["points"] == 1.0
    assert by["centred"]["deletion"] < by["random"]["deletion"]
    assert by["centred"]["time_points"] is None


def test_two_runs_agree(pictures: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "1.json", tmp_path / "2.json"]
    for out in outs:
        assert streamcam(*EVAL, pictures, "--limit", "1", "--json", out).returncode == 0
    assert outs[0].read_text() == outs[1].read_text()


def test_a_clip_that_is_shorter_than_a_window_is_held(rendered: Path, tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    picture = cv2.imread(str(rendered / "pictures" / "picture00.jpg"))
    assert picture is not None
    writer = cv2.VideoWriter(str(tmp_path / "cat" / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, picture.shape[1::-1])
    for _ in range(3):
        writer.write(picture)
    writer.release()
    np.savez(tmp_path / "cat" / "a.npz", masks=np.load(rendered / "pictures" / "picture00.npz")["masks"][0])
    (tmp_path / "classes.yaml").write_text("cat: Egyptian cat\n")
    out = tmp_path / "out.json"
    assert streamcam(*EVAL, tmp_path, "--json", out).returncode == 0
    report = json.loads(out.read_text())
    assert (report["windows"], report["slices"]) == (1, 16)
    assert report["methods"]["centred"]["energy"] > 1.5 * report["chance"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "no such folder: nowhere"),
        ((".",), "no clips or pictures in"),
        (("SET", "--method", "x"), "no such method: x"),
        (("SET", "--model", "x"), "no such model: x"),
        (("SET", "--json", "nowhere/a.json"), "cannot write nowhere/a.json"),
        (("SET", "--sheet", "a.txt"), "ends in .png"),
        (("SET/clips", "--group", "none"), "imagenet has no class 'cat'"),
    ],
)
def test_what_cannot_be_is_one_line_and_code_2(
    arguments: tuple[str, ...],
    words: str,
    rendered: Path,
    tmp_path: Path,
) -> None:
    given = [argument.replace("SET", str(rendered)) for argument in arguments]
    done = streamcam(*EVAL, *given, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
