import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.footage.flow_check import main
from scripts.footage.photographs import photograph
from streamcam.evaluate.flow import SIDE, FlowHistory, Motion, camera_flow, changed, dilate, region_direction
from streamcam.evaluate.moving import (
    MotionClasses,
    MotionScore,
    calibration_error,
    score_motion,
    summary,
    window_direction,
)
from streamcam.records import Heat, Image, Transform
from tests.support.paths import DOCS

WORDS = ("still", "moving left", "moving right", "moving up", "moving down", "camera moving")


def scene(t: float, *, actor: tuple[float, float] = (0, 0), camera: tuple[float, float] = (0, 0)) -> Image:
    """Gravel under a camera with a coin that is 70 pixels wide; both move by so many of 224 pixels a second."""
    ground = photograph("gravel")[:400, :400]
    left, top = 80 - camera[0] * t, 80 - camera[1] * t
    shift = np.array([[1.0, 0, -left], [0, 1, -top]])
    picture = cv2.warpAffine(ground, shift, (SIDE, SIDE))
    x, y = 90 + actor[0] * t, 90 + actor[1] * t
    coin = cv2.resize(photograph("brick")[100:300, 100:300], (70, 70), interpolation=cv2.INTER_AREA)
    canvas = cv2.warpAffine(coin, np.array([[1.0, 0, x - 35], [0, 1, y - 35]]), (SIDE, SIDE))
    cover = cv2.warpAffine(np.ones((70, 70), np.float32), np.array([[1.0, 0, x - 35], [0, 1, y - 35]]), (SIDE, SIDE))
    mixed = (picture + cover * (canvas.astype(np.float32) - picture)).round().astype(np.uint8)
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_GRAY2RGB), np.uint8)


def motion_of(fps: float = 30.0, **how: tuple[float, float]) -> Motion:
    """What moves half a second into a scene."""
    history = FlowHistory(Transform(), keep_s=1.0)
    for i in range(round(0.7 * fps)):
        history.push(scene(i / fps, **how), i / fps)
    motion = history.at(0.5)
    assert motion is not None
    return motion


@pytest.mark.parametrize("fps", [10.0, 30.0])
def test_a_thing_that_goes_right_is_found_with_its_speed_and_place_at_any_frame_rate(fps: float) -> None:
    motion = motion_of(fps, actor=(60, 0))
    truth = np.zeros((SIDE, SIDE), bool)
    truth[55:125, 120 - 35 : 120 + 35] = True
    both = (motion.moving & truth).sum() / (motion.moving | truth).sum()
    assert both > 0.75
    assert np.median(motion.velocity[truth], axis=0) == pytest.approx((30, 0), abs=2)  # px of 112 are two pixels
    assert motion.camera < 1
    assert not motion.quiet


@pytest.mark.parametrize(
    ("actor", "way"),
    [((60, 0), "right"), ((-60, 0), "left"), ((0, -60), "up"), ((0, 60), "down"), ((50, 50), None), ((0, 0), None)],
)
def test_a_direction_is_along_an_axis_or_none(actor: tuple[float, float], way: str | None) -> None:
    assert region_direction(motion_of(actor=actor)) == way


def test_what_turns_goes_no_way() -> None:
    ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) - SIDE / 2
    moving = np.hypot(xs, ys) < 60
    assert region_direction(Motion(np.stack([-ys, xs], axis=-1), 0.0, moving, False)) is None


def test_a_camera_that_pans_moves_nothing() -> None:
    motion = motion_of(camera=(24, 12), actor=(24, 12))
    assert motion.moving.mean() < 0.02
    assert motion.camera == pytest.approx(np.hypot(12, 6), abs=1)
    assert not motion.quiet
    followed = motion_of(camera=(24, 0), actor=(-60, 0))
    assert region_direction(followed) == "left"


def test_an_empty_scene_is_quiet_and_a_blinking_lamp_is_not() -> None:
    assert motion_of().quiet
    history = FlowHistory(Transform(), keep_s=1.0)
    for i in range(10):
        image = scene(0).copy()
        image[20:60, 20:60] = 255 if i % 4 < 2 else 0
        history.push(image, i / 10)
    motion = history.at(0.35)
    assert motion is not None
    assert not motion.quiet


def test_flow_on_a_bare_wall_is_not_believed() -> None:
    noise = np.random.default_rng(0).normal(128, 1.5, (2, SIDE, SIDE)).round().astype(np.uint8)
    assert not changed(noise[0], noise[1], np.zeros((SIDE, SIDE, 2), np.float32)).any()


def test_the_cameras_flow_is_affine_and_leaves_out_the_smaller_half() -> None:
    ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    zoom = np.stack([0.01 * xs - 1, 0.01 * ys], axis=-1)
    disturbed = zoom.copy()
    disturbed[40:160, 30:150] += 9
    assert np.abs(camera_flow(disturbed) - zoom).max() < 0.01


def test_there_is_no_flow_before_the_second_picture_nor_across_a_jump_back() -> None:
    history = FlowHistory(Transform(), keep_s=1.0)
    assert history.at(0.0) is None
    history.push(scene(0), 5.0)
    history.push(scene(0.1), 5.1)
    assert history.at(5.05) is not None
    history.push(scene(0), 0.0)
    assert history.at(0.0) is None


def moving_square(x0: int, *, way: float = 20.0) -> Motion:
    moving = np.zeros((SIDE, SIDE), bool)
    moving[:56, x0 : x0 + 56] = True
    velocity = np.zeros((SIDE, SIDE, 2), np.float32)
    velocity[moving] = way, 0
    return Motion(velocity, 0.0, moving, False)


def heat_with(cells: np.ndarray, *, logits: tuple[float, ...]) -> Heat:
    """Heat [L',4,4] of one class, of `WORDS`."""
    slices = len(cells)
    return Heat(
        cube=cells[None].astype(np.float32),
        common=np.zeros_like(cells, np.float32),
        classes=np.array([2]),
        labels=("moving right",),
        scores=np.array([0.9], np.float32),
        logits=np.array(logits, np.float32),
        scale=None,
        pts_s=np.arange(slices) / 15,
        clip_pts_s=(0.0, slices / 15),
        transform=Transform(),
        model="m",
        model_hash="h",
    )


def test_heat_is_held_against_the_slices_own_time() -> None:
    """The square moves from the left column of cells to the right one: the same heat is right in one slice only."""
    motions = [moving_square(0), moving_square(168)]
    cells = np.zeros((2, 4, 4))
    cells[0, 0, 0], cells[1, 0, 0] = 4, 2
    classes = MotionClasses.of(WORDS)
    right = score_motion(heat_with(cells, logits=(0, 1, 3, 0, 0, 0)), motions, classes)
    assert (right.points, right.near, right.direction, right.predicted_direction) == (True, True, "right", "right")
    assert right.painted
    assert right.chance == pytest.approx(1 / 16)
    wrong = score_motion(heat_with(cells[::-1], logits=(0, 3, 1, 0, 0, 0)), motions, classes)
    assert (wrong.points, wrong.near, wrong.direction, wrong.predicted_direction) == (False, False, "right", "left")
    unsure = score_motion(
        replace(heat_with(cells, logits=(0, 1, 3, 0, 0, 0)), scores=np.array([0.4])), motions, classes
    )
    assert (unsure.points, unsure.painted) == (True, False)
    assert right.energy is not None
    assert wrong.energy is not None
    assert right.energy == pytest.approx(2 * wrong.energy, rel=1e-3)


def test_near_is_four_px_of_112() -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[100, 100] = True
    grown = dilate(mask, 4.0)
    assert grown[100, 108]
    assert not grown[100, 109]


def test_stillness_is_asked_about_only_where_nothing_moves() -> None:
    classes = MotionClasses.of(WORDS)
    nothing = Motion(np.zeros((SIDE, SIDE, 2), np.float32), 0.0, np.zeros((SIDE, SIDE), bool), True)
    swaying = nothing._replace(quiet=False)
    heat = heat_with(np.zeros((2, 4, 4)), logits=(9, 0, 0, 0, 0, 0))
    calm, sways, pans = ([nothing] * 2, [nothing, swaying], [nothing, nothing._replace(camera=20.0)])
    asked = [(score.still, score.quiet) for score in (score_motion(heat, m, classes) for m in (calm, sways, pans))]
    assert asked == [(True, True), (True, False), (None, False)]
    one_of_five = [nothing] * 4 + [moving_square(0)]
    five = score_motion(heat_with(np.zeros((5, 4, 4)), logits=(9, 0, 0, 0, 0, 0)), one_of_five, classes)
    assert (five.still, five.points) == (None, None)
    restless = heat_with(np.zeros((2, 4, 4)), logits=(0, 0, 0, 0, 0, 9))
    assert score_motion(restless, [nothing] * 2, classes).still is False


def test_names_are_held_against_what_the_flow_tells_for_certain() -> None:
    classes = MotionClasses.of(WORDS)
    cells = np.zeros((2, 4, 4))
    goes = score_motion(heat_with(cells, logits=(-9, 9, 9, -9, -9, -9)), [moving_square(0)] * 2, classes)
    assert goes.contradicts
    assert (goes.camera, goes.camera_named) == (False, False)
    assert goes.size == pytest.approx(1 / 16)
    named = {(round(score), true) for score, true in goes.beliefs if score >= 0.5}
    assert named == {(1, False), (1, True)}  # it goes right, and not left
    assert len(goes.beliefs) == 6  # the camera, still, and four directions
    fast = moving_square(0)._replace(camera=20.0)
    pans = score_motion(heat_with(cells, logits=(-9, -9, 9, -9, -9, 9)), [fast] * 2, classes)
    assert (pans.camera, pans.camera_named, pans.contradicts) == (True, True, False)
    doubtful = score_motion(heat_with(cells, logits=(0,) * 6), [fast._replace(camera=3.0)] * 2, classes)
    assert doubtful.camera is None
    figures = summary([goes, pans, doubtful])
    assert (figures["with_camera"], figures["camera"]) == (2, 1.0)
    assert figures["contradicts"] == pytest.approx(2 / 3, abs=1e-3)  # at a score of 0.5 all is named
    assert (figures["small"], figures["medium"], figures["large"]) == (0, 3, 0)


def test_scores_that_are_shares_are_calibrated() -> None:
    sure = [(0.9, True)] * 9 + [(0.9, False)]
    assert calibration_error(sure) == pytest.approx(0)
    assert calibration_error([(0.9, True)] * 5 + [(0.9, False)] * 5) == pytest.approx(0.4)
    assert calibration_error([*sure, *[(0.1, True)] * 10]) == pytest.approx(0.45)
    assert calibration_error([]) is None


def test_the_vocabulary_is_read_off_the_names() -> None:
    classes = MotionClasses.of(WORDS)
    assert classes.camera == 5
    assert classes.contrary == ((1, 2), (3, 4))
    assert classes.motion == (1, 2, 3, 4)
    assert classes.directions == {"left": 1, "right": 2, "up": 3, "down": 4}
    assert MotionClasses.of(("tabby", "espresso")) == MotionClasses(None, {}, None)


def test_a_window_has_the_direction_of_three_quarters_of_its_slices() -> None:
    right, left = moving_square(0), moving_square(0, way=-20)
    assert window_direction([right, right, right, left]) == "right"
    assert window_direction([right, left]) is None


def test_figures_are_shares_of_the_windows_that_were_asked() -> None:
    scores = [
        MotionScore(True, True, True, 0.5, 0.1, 0.2, "left", "left"),
        MotionScore(False, True, False, 0.1, 0.3, 0.4, "left", "right"),
        MotionScore(still=True, quiet=True),
        MotionScore(still=False),
        MotionScore(),
    ]
    figures = summary(scores)
    assert (figures["windows"], figures["with_motion"], figures["points"], figures["points_near"]) == (5, 2, 0.5, 1.0)
    assert (figures["painted"], figures["points_painted"], figures["points_near_painted"]) == (1, 1.0, 1.0)
    assert (figures["energy"], figures["chance"], figures["chance_near"]) == pytest.approx((0.3, 0.2, 0.3))
    assert (figures["with_direction"], figures["direction"]) == (2, 0.5)
    assert (figures["without_motion"], figures["still"], figures["still_unchanging"]) == (2, 0.5, 1.0)
    assert summary([])["points"] is None


def test_real_footage_gives_figures_and_a_sheet(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, sheet = tmp_path / "f.json", tmp_path / "f.png"
    clip = str(videos / "asl" / "milk.mkv")
    assert main([clip, "--model", "imagenet-fast", "--json", str(out), "--sheet", str(sheet)]) == 0
    assert "milk.mkv" in capsys.readouterr().out
    report = json.loads(out.read_text())
    assert report["model"] == "imagenet-fast"
    assert report["files"]["all"]["with_motion"] == 2
    assert 0 < report["files"]["milk.mkv"]["chance"] < 0.2
    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[0] > SIDE


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "no such file or folder: nowhere"),
        ((".", "--model", "x"), "no videos in"),
        ((DOCS / "motion.md",), "open"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path) if arguments[0] == "." else str(arguments[0]), *arguments[1:]]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert words in err
