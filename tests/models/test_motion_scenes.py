"""The rendered scenes that teach `motion`: cameras, people, light, encoders, and where textures come from."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from scripts.motion import camera as cameras
from scripts.motion import photographs, render_set
from scripts.motion.appearance import NoPhotographsError, folder_pictures, held_out
from scripts.motion.camera import Camera
from scripts.motion.film import encoded
from scripts.motion.layers import Format
from scripts.motion.paths import CLASS, ClipExtent, Path2D, rest, truth
from scripts.motion.people import person
from scripts.motion.render import SceneRenderer
from streamcam.models.motion import LABELS

EXTENT = ClipExtent((112, 144), 32, 19.0, 4.0)
AT = Format().times


@pytest.fixture(scope="module")
def renderer() -> SceneRenderer:
    return SceneRenderer("train", fmt=Format())


def going(vx: float, vy: float) -> Path2D:
    """A thing of 20×20 pixels that goes a way, in pixels a frame."""
    path = rest(EXTENT, np.random.default_rng(0), area=0.02)
    path.angle, path.half = 0 * path.t, (10.0, 10.0)
    path.x, path.y = 72 + vx * (path.t - 19), 56 + vy * (path.t - 19)
    return path


@pytest.mark.parametrize(
    ("degrees", "left", "up"), [(0, 1, 0), (30, 1, 0), (45, 0.5, 0.5), (60, 0, 1), (90, 0, 1), (180, 0, 0)]
)
def test_a_diagonal_is_half_of_each_direction(degrees: int, left: float, up: float) -> None:
    angle = np.radians(degrees)
    target, sure = truth(going(-2 * np.cos(angle), -2 * np.sin(angle)), AT)
    assert target[:, CLASS["moving left"]] == pytest.approx(left, abs=0.1)
    assert target[:, CLASS["moving up"]] == pytest.approx(up, abs=0.1)
    assert sure.all()


def test_what_comes_nearer_and_goes_left_does_both() -> None:
    path = going(-1.0, 0)
    path.log_scale = 0.08 * (path.t - 19)
    target, _ = truth(path, AT)
    now = int(np.abs(AT - 19).argmin())
    assert (target[now, [CLASS["moving left"], CLASS["approaching"]]] > 0.9).all()


@pytest.mark.parametrize(("past", "sure"), [(0.0, True), (3.0, True), (5.0, False)])
def test_what_is_slow_beside_the_camera_is_not_asked_about(past: float, sure: bool) -> None:
    target, known = truth(going(-2, 0), AT, past=np.full(len(AT), past))
    assert (known[:, CLASS["moving left"]] == sure).all()
    assert known[:, CLASS["appearing"]].all()
    assert (target[:, CLASS["moving left"]] == 1).all()
    still, known = truth(going(0, 0), AT, past=np.full(len(AT), past))
    assert not still.any()
    assert known.all()  # parallax is no motion


def test_near_things_go_further_where_a_camera_changes_place_but_not_where_it_turns() -> None:
    zero = 0 * EXTENT.t
    way = np.stack([2 * EXTENT.t, zero])
    turns = Camera(EXTENT.t, EXTENT.size, way, 0 * way, zero, zero)
    travels = Camera(EXTENT.t, EXTENT.size, 0 * way, way, zero, zero)
    x = np.full(len(AT), 30.0)
    assert turns.speed(AT, x, x, depth=1.5) == pytest.approx(2)
    assert travels.speed(AT, x, x, depth=1.5) == pytest.approx(3)
    assert travels.moving(AT)[0].all()


def test_a_camera_that_is_nearly_still_is_not_asked_about() -> None:
    zero = 0 * EXTENT.t
    for speed, moves, clear in ((0.05, 0, 1), (0.17, 0, 0), (0.5, 1, 1)):
        way = np.stack([speed * EXTENT.t, zero])
        got = Camera(EXTENT.t, EXTENT.size, way, 0 * way, zero, zero).moving(AT)
        assert [set(z) for z in got] == [{moves}, {clear}]


def test_a_camera_rolls_and_zooms_about_the_middle_of_the_picture() -> None:
    zero = 0 * EXTENT.t
    camera = Camera(EXTENT.t, EXTENT.size, np.zeros((2, len(zero))), np.zeros((2, len(zero))), zero + np.log(2),
                    zero + np.pi / 2)  # fmt: skip
    x, y, roll, zoom = camera.pose(np.zeros(1), np.asarray([82.0]), np.asarray([56.0]), depth=1)
    assert (x[0], y[0], roll[0], np.exp(zoom[0])) == pytest.approx((72, 76, np.pi / 2, 2))


def test_a_third_of_the_scenes_have_a_camera_that_moves_and_half_of_these_something_that_moves(
    renderer: SceneRenderer,
) -> None:
    wanted = [renderer.compose(seed).wanted.split(" + ") for seed in range(300)]
    moving = [names for names in wanted if "camera moving" in names]
    assert len(moving) >= 0.3 * len(wanted) - 15
    assert 0.35 < np.mean([len(names) > 1 for names in moving]) < 0.75


@pytest.mark.parametrize("label", ["waving", "bouncing"])
def test_of_somebody_who_waves_it_is_a_limb_that_waves(label: str) -> None:
    limbs = 0
    for seed in range(30):
        parts = person(EXTENT, np.random.default_rng(seed), label, 1.0)
        does = [bool(truth(part.path, AT)[0][:, CLASS[label]].any()) for part in parts]
        shapes = {part.shape for part, acts in zip(parts, does, strict=True) if acts}
        limbs += bool(shapes) and "torso" not in shapes
        assert any(label in {**part.path.events, **(part.path.root or part.path).events} for part in parts)
    assert limbs >= 10


def test_of_somebody_who_walks_all_parts_go_the_same_way() -> None:
    for seed in range(10):
        targets = [truth(p.path, AT)[0] for p in person(EXTENT, np.random.default_rng(seed), "moving left", 1.0)]
        assert len(targets) == 8
        assert all(np.array_equal(target, targets[0]) for target in targets)


def test_things_are_small_and_large(renderer: SceneRenderer) -> None:
    scenes = [renderer.compose(seed, wanted=["moving right"], props=0) for seed in range(60)]
    shares = []
    for scene in scenes:
        masks = renderer.render([scene], masks=True).masks
        assert masks is not None
        shares.append(masks[0].any(0).float().mean((1, 2)).max().item())  # where it is best in view
    assert min(shares) < 0.01
    assert np.mean([share > 0.1 for share in shares]) > 0.25


def test_what_is_fast_is_blurred_by_as_many_drawings_as_it_takes(renderer: SceneRenderer) -> None:
    drawings = [layer.poses.shape[1] for seed in range(60) for layer in renderer.compose(seed).layers]
    assert min(drawings) == 1
    assert max(drawings) == 4


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
def test_an_encoder_gives_back_as_many_frames_a_little_worse(codec: str) -> None:
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 255, (14, 18, 3), np.uint8), (144, 112), interpolation=cv2.INTER_CUBIC)
    clip = np.stack([np.roll(picture, i, 1) for i in range(12)]).astype(np.uint8)
    good, bad = (np.abs(encoded(clip, codec, coarse).astype(int) - clip).mean() for coarse in (0.0, 1.0))
    assert 0 < good < bad < 40
    assert np.array_equal(encoded(clip, codec, 0.5), encoded(clip, codec, 0.5))


def test_drift_is_what_the_picture_shows_and_the_camera_counts(renderer: SceneRenderer) -> None:
    for seed in range(40):
        scene = renderer.compose(seed, wanted=["camera moving"], props=0)
        drift = renderer.render([scene]).drift[0].float()
        pose = scene.layers[0].pose
        if np.ptp(pose[:, 2]) == 0 and np.ptp(pose[:, 3]) == 0:
            k = 5
            at = scene.fmt.first + k
            expected = (pose[at + 2, :2] - pose[at - 2, :2]) / 4
            assert drift[:2, k, 10, 10].tolist() == pytest.approx(expected.tolist(), abs=0.02)
            return
    raise AssertionError("no camera that only pans")


def folder_of_pictures(folder: Path, count: int) -> list[str]:
    """Put pictures of one colour each into a folder, as the installer does."""
    folder.mkdir()
    names = [f"package_{i}.jpg" for i in range(count)]
    for i, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((60, 80, 3), 5 * i, np.uint8))
    (folder / "photographs.json").write_text(json.dumps([{"file": name} for name in names]))
    return names


def test_a_fixed_fifth_of_the_pictures_is_held_out(renderer: SceneRenderer, tmp_path: Path) -> None:
    names = folder_of_pictures(tmp_path / "pictures", 40)
    kept, out = (folder_pictures(tmp_path / "pictures", part) for part in ("train", "held-out"))
    assert len(kept) + len(out) == 40
    assert len(out) == sum(map(held_out, names))
    assert 2 <= len(out) <= 16
    more = SceneRenderer("train", fmt=Format(), photographs=tmp_path / "pictures")
    assert len(more.stock.textures) == len(renderer.stock.textures) + 3 * len(kept)


def test_a_folder_without_pictures_says_how_to_fill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoPhotographsError, match=r"python -m scripts\.motion\.photographs"):
        SceneRenderer("train", fmt=Format(), photographs=tmp_path)
    monkeypatch.setattr(sys, "argv", ["render_set", str(tmp_path / "set"), "--photographs", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        render_set.main()
    assert "photographs.json" in capsys.readouterr().err


def test_of_a_package_the_largest_of_each_picture_is_kept(tmp_path: Path) -> None:
    shares = tmp_path / "usr" / "share" / "wallpapers"
    rng = np.random.default_rng(0)
    for name in ("Hill/contents/images/80x60.png", "Hill/contents/images/640x480.png", "Hill/contents/screenshot.png",
                 "Sea.png"):  # fmt: skip
        path = shares / name
        path.parent.mkdir(parents=True, exist_ok=True)
        side = 80 if "80x" in name else 640
        cv2.imwrite(str(path), rng.integers(0, 255, (side, side, 3), np.uint8))
    found = sorted(path.name for path in photographs.pictures(tmp_path))
    assert found == ["640x480.png", "Sea.png"]
    image = photographs.scaled(shares / "Sea.png")
    assert image is not None
    assert image.shape == (512, 512, 3)


def test_without_apt_the_installer_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["photographs", str(tmp_path / "pictures")])
    with pytest.raises(SystemExit, match="2"):
        photographs.main()
    assert "Debian" in capsys.readouterr().err


@pytest.mark.parametrize(("labels", "least"), [(["waving"], 0.1), (["moving left", "camera moving"], 0.005)])
def test_held_out_clips_of_large_things_and_moving_cameras(
    renderer: SceneRenderer, labels: list[str], least: float
) -> None:
    rendered, found = next(render_set.clips(renderer, labels, 10**6, least=least))
    ((label, mask),) = found
    assert label == labels[0]
    assert least <= mask[mask.any((1, 2))].mean() <= 0.6
    true = [LABELS[c] for c in torch.nonzero(rendered.label[0] > 0.5).flatten().tolist()]
    assert sorted(true) == sorted(labels)


def test_a_standing_camera_is_never_clearly_a_moving_one_for_long() -> None:
    shares = [cameras.standing(EXTENT, np.random.default_rng(seed)).moving(AT)[0].mean() for seed in range(80)]
    assert np.mean([share > 0.12 for share in shares]) < 0.15
