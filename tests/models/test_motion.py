"""`motion`: the properties of the network, and of the rendered scenes that trained it."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from scripts.motion.layers import Format, Scene
from scripts.motion.render import SceneRenderer
from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine
from streamcam.engines.device.runner import TorchRunner
from streamcam.errors import StreamcamError
from streamcam.heat.cam import pool
from streamcam.models import motion, motion_first
from streamcam.models.base import CamModel, Int8, Stored
from streamcam.models.checkpoint import read_card
from streamcam.models.motion import CONFIG, LABELS, SPEC
from streamcam.models.registry import load_model, save_checkpoint
from tests.support.frames import make_frame

RANDOM = torch.Generator().manual_seed(0)
LENGTH, CONTEXT = SPEC.clip_format.length, SPEC.temporal_context


def noise(*, frames: int = LENGTH, size: tuple[int, int] = SPEC.clip_format.crop) -> Tensor:
    """A normalised clip of noise, float [1,3,T,H,W]."""
    return torch.randn(1, 3, frames, *size, generator=RANDOM)


def square(step: tuple[int, int]) -> np.ndarray:
    """A square that goes so many pixels a frame down and to the right; uint8 [L,H,W,3]."""
    # On a blank wall, a square that moves and a camera that moves would look the same.
    wall = np.random.default_rng(0).integers(100, 160, (112, 144, 3), np.uint8)
    frames = np.repeat(wall[None], LENGTH, 0)
    for i in range(LENGTH):
        y, x = 46 + step[0] * (i - LENGTH // 2), 62 + step[1] * (i - LENGTH // 2)
        frames[i, y : y + 20, x : x + 20] = (200, 40, 60)
    return frames


@pytest.fixture(scope="module")
def model() -> CamModel:
    return motion.build("DEFAULT")


@torch.no_grad()
def test_the_cube_pools_to_the_logits(model: CamModel) -> None:
    output = model(noise())
    assert output.cube.shape == (1, len(LABELS), SPEC.slices, 28, 36)
    assert torch.allclose(output.logits, model.bias + pool(output.cube), atol=1e-4)


@torch.no_grad()
def test_slices_of_a_long_clip_are_those_of_its_parts(model: CamModel) -> None:
    x = noise(frames=LENGTH + 9)
    whole = model(x).cube
    for start in (0, 4, 9):
        part = model(x[:, :, start : start + LENGTH]).cube
        assert torch.allclose(whole[:, :, start : start + SPEC.slices], part, atol=1e-3, rtol=1e-4)


def test_both_engines_say_the_same(model: CamModel) -> None:
    stream, whole = (make_engine(model, name=name, device="cpu", precision="fp32") for name in ("auto", "window"))
    assert stream.name == "stream"
    window = SlidingWindow(SPEC.clip_format, hop=3, head_start=True)
    compared = 0
    for i in range(LENGTH + 7):
        clip = window.push(make_frame(i, fps=15))
        if clip is None:
            continue
        (got,) = stream.infer([clip])
        if clip.full and got is not None:
            (expected,) = whole.infer([clip])
            assert expected is not None
            np.testing.assert_allclose(got.logits, expected.logits, atol=1e-3, rtol=1e-4)
            np.testing.assert_allclose(got.pts_s, expected.pts_s)
            compared += 1
    assert compared >= 2


@torch.no_grad()
def test_one_frame_more_than_the_context_gives_one_slice(model: CamModel) -> None:
    assert model(noise(frames=CONTEXT + 1)).cube.shape[2] == 1


def test_it_depends_on_as_many_frames_as_declared_and_its_trunk_on_31_pixels() -> None:
    torch.manual_seed(0)
    features = motion.build("none").features
    assert isinstance(features, motion.MotionFeatures)
    for parameter in features.parameters():
        parameter.data.abs_()  # no path through the network is closed by a ReLU
    x = noise(frames=CONTEXT + 3).requires_grad_()
    features.scales.trunk(features.changes(x))[0, :, 1, 14, 18].sum().backward()
    assert x.grad is not None
    _, frames, rows, columns = (z.unique() for z in x.grad[0].nonzero(as_tuple=True))
    assert frames.tolist() == list(range(1, CONTEXT + 2))
    assert rows.tolist() == list(range(int(rows[0]), int(rows[0]) + 31))
    assert columns.tolist() == list(range(int(columns[0]), int(columns[0]) + 31))
    assert abs(float(rows.double().mean()) - (14 * 4 + 1.5)) <= 2
    assert abs(float(columns.double().mean()) - (18 * 4 + 1.5)) <= 2


@torch.no_grad()
def test_a_thing_counts_by_how_sure_its_cells_are_rather_than_by_its_size() -> None:
    shares = motion.Shares(1 + len(motion.PLACED))
    for layer in (shares.placed, shares.whole):
        layer.weight.zero_()
        assert layer.bias is not None
        layer.bias.zero_()
    for i in range(1 + len(motion.PLACED)):
        shares.placed.weight[i, i] = 1
    means = []
    for side in (8, 20):  # 6 % and 40 % of the picture
        x = torch.zeros(1, 1 + len(motion.PLACED), 1, 28, 36)
        x[:, 0] = 12  # none
        x[:, 0, :, 4 : 4 + side, 4 : 4 + side] = 0
        x[:, 5, :, 4 : 4 + side, 4 : 4 + side] = 12
        maps = shares(x)
        means.append(float(maps[0, 5].mean()))
        assert (maps >= 0).all()
        assert maps[0, 5, 0, side + 6 :].max() < 1e-3
    assert means[0] > 0.6 * means[1]  # of areas that are 1 to 6


@torch.no_grad()
def test_heat_goes_to_what_changes_and_scores_stay() -> None:
    """A map that lies everywhere is laid onto the only place that changes, by slice, and keeps its mean."""
    onto = motion.OntoChanges(CONFIG)
    maps = torch.rand(1, 16, 3, 28, 36, generator=RANDOM) + 0.1
    changes = torch.zeros(1, 7, 3 + CONTEXT - 2, 112, 144)
    changes[:, 1:, CONFIG.own_frame - 1 + 1, 40:60, 80:100] = -2.0  # in slice 1 alone
    laid = onto(maps, changes)
    torch.testing.assert_close(laid.mean((3, 4)), maps.mean((3, 4)), rtol=1e-4, atol=0)
    torch.testing.assert_close(laid[:, :, [0, 2]], maps[:, :, [0, 2]], rtol=1e-4, atol=0)
    inside = laid[:, :, 1, 8:17, 18:27].sum((2, 3)) / laid[:, :, 1].sum((2, 3))
    assert (inside > 0.95).all()


def test_the_format_gives_the_slices_that_the_spec_says(model: CamModel) -> None:
    assert CONFIG.context == CONTEXT
    assert SPEC.slices == 16
    assert SPEC.slice_frames(16).tolist() == [CONFIG.own_frame + i for i in range(16)]
    assert SPEC.multi_label


def test_the_model_card_says_how_it_was_made_and_what_it_is_painted_by(model: CamModel) -> None:
    card = read_card(motion.WEIGHTS)
    assert tuple(card.classes) == LABELS
    assert "auxiliary loss" in card.about
    assert "Not for" in card.about
    assert model.spec.heat_scale == tuple(card.heat_scale or ())
    for label, scale in zip(LABELS, card.heat_scale or (), strict=True):
        assert (scale >= 10_000) == (label in ("still", "flickering light", "camera moving"))  # hides nothing


def test_pictures_of_a_size_that_cannot_be_halved_so_often_are_refused(model: CamModel) -> None:
    with pytest.raises(StreamcamError, match=r"motion takes .* multiples of 16, got 100×144"):
        model.with_clip_format(crop=(100, 144))
    assert model.with_clip_format(crop=(96, 128)).explain(np.zeros((LENGTH, 90, 120, 3), np.uint8)).cube.shape[2:] == (
        24,
        32,
    )


@torch.no_grad()
def test_a_frame_costs_half_a_gflop(model: CamModel) -> None:
    frames = 100
    with FlopCounterMode(display=False) as counter:
        model(noise(frames=frames + CONTEXT))
    assert counter.get_total_flops() / frames < 0.6e9  # with the context's frames, counted to the others' cost
    with FlopCounterMode(display=False) as context:
        model(noise(frames=CONTEXT + 1))
    assert (counter.get_total_flops() - context.get_total_flops()) / (frames - 1) < 0.55e9


def test_the_weights_are_small() -> None:
    assert motion.WEIGHTS.stat().st_size < 5e6


def test_a_picture_that_does_not_change_is_still(model: CamModel) -> None:
    rng = np.random.default_rng(0)
    picture = rng.uniform(60, 200, (120, 160, 3)).astype(np.uint8)
    heat = model.explain(np.repeat(picture[None], LENGTH, 0))
    assert heat.labels[int(heat.scores.argmax())] == "still"


@pytest.mark.parametrize(
    ("label", "step"),
    [("moving left", (0, -2)), ("moving right", (0, 2)), ("moving up", (-2, 0)), ("moving down", (2, 0))],
)
def test_heat_lies_on_a_square_that_moves(model: CamModel, label: str, step: tuple[int, int]) -> None:
    frames = square(step)
    heat = model.explain(frames)
    assert heat.labels[int(heat.scores.argmax())] == label
    middle = heat.cube[LABELS.index(label), SPEC.slices // 2]
    y, x = np.unravel_index(middle.argmax(), middle.shape)
    assert 46 <= 4 * y + 2 <= 66
    assert 62 <= 4 * x + 2 <= 82


# --- the scenes that taught it ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene_renderer() -> SceneRenderer:

    return SceneRenderer("held-out", fmt=Format())


def scene_of(scene_renderer: SceneRenderer, label: str, *, start: int = 0) -> Scene:
    """The first scene from a seed on in which one thing, wholly in the picture, does nothing but this."""
    for seed in range(start, start + 400):
        scene = scene_renderer.compose(seed, wanted=[label], props=0)
        inside = all(
            ((a.pose[:, :2] > 12) & (a.pose[:, :2] < (132, 100))).all() and a.target[:, LABELS.index(label)].all()
            for a in scene.layers[-1:]
        )
        if inside and [LABELS[c] for c in np.flatnonzero(scene.label)] == [label]:
            return scene
    raise AssertionError(f"no scene of {label}")


def covered(scene_renderer: SceneRenderer, label: str) -> np.ndarray:
    """float [L,3]: centre x, y and area of what the thing covers, in cells."""
    cells = scene_renderer.render([scene_of(scene_renderer, label)]).cells[0, -1].float()
    y, x = torch.meshgrid(torch.arange(cells.shape[1]), torch.arange(cells.shape[2]), indexing="ij")
    area = cells.sum((1, 2))
    return torch.stack([(cells * x).sum((1, 2)) / area, (cells * y).sum((1, 2)) / area, area], 1).numpy()


@pytest.mark.parametrize("label", LABELS)
def test_a_scene_is_the_same_from_the_same_seed(scene_renderer: SceneRenderer, label: str) -> None:
    scenes = [scene_renderer.compose(5, wanted=[label]) for _ in range(2)]
    a, b = (scene_renderer.render([scene]) for scene in scenes)
    assert torch.equal(a.frames, b.frames)
    assert torch.equal(a.cells, b.cells)
    assert a.frames.dtype == torch.uint8
    assert tuple(a.frames.shape) == (1, 3, LENGTH, *SPEC.clip_format.crop)


@pytest.mark.parametrize(
    ("label", "column", "sign"),
    [
        ("moving left", 0, -1),
        ("moving right", 0, 1),
        ("moving up", 1, -1),
        ("moving down", 1, 1),
        ("approaching", 2, 1),
        ("receding", 2, -1),
    ],
)
def test_what_is_labelled_is_what_is_drawn(scene_renderer: SceneRenderer, label: str, column: int, sign: int) -> None:
    path = covered(scene_renderer, label)[:, column]
    assert sign * (path[-1] - path[0]) > 0.3


def test_what_appears_was_not_there_and_what_disappears_is_gone(scene_renderer: SceneRenderer) -> None:
    for label, first, last in (("appearing", 0, 1), ("disappearing", 1, 0)):
        for seed in range(20):
            alpha = scene_renderer.compose(seed, wanted=[label], props=0).layers[-1].alpha
            assert alpha[0] == first
            assert alpha[-1] == last


def test_a_shade_does_what_the_thing_would_have_done_but_is_faint_and_soft(scene_renderer: SceneRenderer) -> None:
    shady = copy.copy(scene_renderer)
    shady.shades = 1.0
    thing = scene_of(scene_renderer, "moving left")
    shade = shady.compose(thing.seed, wanted=["moving left"], props=0)
    assert np.array_equal(shade.label, thing.label)
    assert np.array_equal(shade.layers[-1].target, thing.layers[-1].target)
    steepness = []
    for scene in (thing, shade):
        scene.noise = scene.blur = scene.quality = scene.stale = 0
        scene.gain[:] = 1
        scene.layers[0].contrast = scene.layers[-1].contrast = 0  # one colour before another
        frame = scene_renderer.render([scene]).frames[0, :, LENGTH // 2].float()
        apart = (frame - torch.from_numpy(scene.layers[0].colour).float().view(3, 1, 1)).abs().mean(0)
        steepness.append(float(apart.diff(dim=1).abs().max() / apart.max()))
        assert apart.max() > 10
    assert apart.max() < 0.4 * 255
    assert steepness[1] < 0.4 < steepness[0]


def test_a_frame_that_a_slow_camera_repeats_is_the_same_with_its_noise(scene_renderer: SceneRenderer) -> None:
    scenes = (scene_renderer.compose(seed, wanted=["waving"]) for seed in range(100))
    scene = next(s for s in scenes if len(np.unique(s.frames)) < 24 and s.noise > 2)
    frames = scene_renderer.render([scene]).frames[0]
    for i in range(1, LENGTH):
        same = scene.frames[i] == scene.frames[i - 1]
        assert torch.equal(frames[:, i], frames[:, i - 1]) == same


def test_turning_a_clip_around_turns_its_labels() -> None:
    from scripts.motion.clips import MIRRORED, UPSIDE_DOWN, swap

    left = LABELS.index("moving left")
    assert LABELS[swap(MIRRORED, LABELS)[left]] == "moving right"
    assert LABELS[swap(UPSIDE_DOWN, LABELS)[left]] == "moving left"
    for names in (LABELS, motion.PLACED):
        for pairs in (MIRRORED, UPSIDE_DOWN):
            order = swap(pairs, names)
            assert [order[i] for i in order] == list(range(len(names)))


def test_a_clip_that_is_turned_shows_what_its_labels_say(scene_renderer: SceneRenderer) -> None:
    from scripts.motion.clips import one, turned

    clip = one(scene_renderer.render([scene_of(scene_renderer, "moving left")]), 0)
    assert (clip["cover"].float().sum(0) <= 1.01).all()
    columns = torch.arange(36.0)
    for seed in range(8):
        seen = turned(clip, np.random.default_rng(seed))
        (c,) = seen["cover"].amax((1, 2, 3)).nonzero()[:, 0].tolist()
        cells = seen["cover"][c].float()
        path = (cells * columns).sum((1, 2)) / cells.sum((1, 2))
        sign = {"moving left": -1, "moving right": 1}[motion.PLACED[c]]
        assert sign * (path[-1] - path[0]) > 0.3
        assert LABELS[int(seen["label"].argmax())] == motion.PLACED[c]
        assert sign * seen["drift"][0][cells > 0.9].float().mean() > 0.1


def test_the_held_out_set_says_what_is_in_it(scene_renderer: SceneRenderer, tmp_path: Path) -> None:
    from scripts.motion.render_set import LEAST, SINGLE_SEED, clips, write
    from streamcam.evaluate.dataset import find_items

    for label in ("still", "moving left"):
        rendered, found = next(clips(scene_renderer, [label], SINGLE_SEED))
        write(tmp_path / label / "000.mp4", scene_renderer, rendered, found, [label])
    moving, still = (item.truth() for item in find_items(tmp_path))
    assert (still.labels, still.objects) == (("still",), ())
    assert moving.labels == ("moving left",)
    (thing,) = moving.objects
    assert thing.times.tolist() == pytest.approx([(CONFIG.own_frame + i) / 15 for i in range(16)])
    assert thing.masks is not None
    columns = [np.flatnonzero(mask.any(0)).mean() for mask in thing.masks if mask.any()]
    assert columns[-1] < columns[0]
    assert thing.masks[thing.masks.any((1, 2))].mean() >= LEAST
    assert not set(map(str, tmp_path.rglob("*.npz"))) ^ {
        str(tmp_path / d / "000.npz") for d in ("still", "moving left")
    }


def test_a_codec_sends_what_changes_and_all_of_it_now_and_then() -> None:
    from scripts.motion.film import replenish

    clip = torch.full((3, 6, 16, 16), 100.0)
    clip[:, 1:, :8, :8] += 50  # changes at once, and much
    clip[:, :, 8:, 8:] += torch.arange(6.0).view(1, 6, 1, 1)  # slowly
    sent = replenish(clip, 4, 4, first=1)
    assert torch.equal(sent[:, :, :8, :8], clip[:, :, :8, :8])
    assert sent[0, :, 15, 15].tolist() == [100, 100, 100, 103, 103, 103]


def test_a_checkpoint_of_the_first_version_is_read_as_the_network_that_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first = motion_first.build("none")
    own = first.with_spec(replace(first.spec, name="mine", classes=("a", "b"), architecture="motion-first"))
    card = save_checkpoint(own, tmp_path / "own.safetensors")
    assert card.architecture == "motion"  # as version 0.1.0 wrote it
    state = load_file(tmp_path / "own.safetensors")
    assert {"features.1.norm.running_mean", "features.8.conv.weight", "features.9.squeeze.weight"} < state.keys()
    loaded = load_model(tmp_path / "own.safetensors")
    x = noise()
    with torch.no_grad():
        assert torch.equal(loaded(x).logits, own(x).logits)
    assert loaded.spec.slice_frames(1).tolist() == [8]
    again = save_checkpoint(loaded, tmp_path / "again.safetensors")
    assert again.architecture == "motion"


def test_classes_of_ones_own_read_what_cells_know_where_something_happens(model: CamModel, tmp_path: Path) -> None:
    own = model.with_spec(replace(model.spec, name="mine", classes=("a", "b"), architecture="motion", heat_scale=None))
    maps = own.feature_maps(noise())
    assert maps[0].shape == (1, CONFIG.join, SPEC.slices, 28, 36)
    clips = [torch.from_numpy(square(step)).permute(0, 3, 1, 2)[None] for step in ((0, 0), (0, 2))]
    with torch.no_grad():
        quiet, busy = (own.feature_maps(own.normalise(clip))[0][0].amax(0) for clip in clips)
    assert quiet.max() < 0.1 * busy.max()
    slice_, y, x = np.unravel_index(int(busy.argmax()), busy.shape)
    left = 62 + 2 * (slice_ + CONFIG.own_frame - LENGTH // 2)  # of the square, in pixels
    assert left - 8 <= 4 * x + 2 <= left + 28
    assert 38 <= 4 * y + 2 <= 74
    save_checkpoint(own, tmp_path / "own.safetensors")
    assert load_model(tmp_path / "own.safetensors").weights_hash == own.weights_hash


def test_quantised_features_are_not_kept_where_classes_have_others(model: CamModel) -> None:
    quantised = model.with_spec(model.spec)
    quantised.int8 = Int8(Stored(b"graph", b"weights"))
    assert quantised.with_spec(replace(model.spec, name="mine")).int8 is quantised.int8
    assert quantised.with_spec(replace(model.spec, classes=("a", "b"), heat_scale=None)).int8 is None


@pytest.mark.slow
def test_pretraining_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    from scripts.motion.pretrain import Learner, Settings, train

    def run(folder: Path, minutes: float) -> None:
        learner = Learner(Settings(steps=2, batch=2, pool=3), device="cpu", start=None, fuse=False)
        train(folder, learner, minutes=minutes)

    run(tmp_path / "a", 9)
    for _ in range(2):
        run(tmp_path / "b", 0)
    a, b = (load_file(tmp_path / name / "motion.safetensors") for name in "ab")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_camera_that_begins_again_takes_as_much_of_a_batch_as_it_has_frames(model: CamModel) -> None:
    engine = make_engine(model, name="stream", device="cpu", precision="fp32")
    window = SlidingWindow(SPEC.clip_format)
    clips = [c for i in range(3 * LENGTH) if (c := window.push(make_frame(i, fps=SPEC.clip_format.fps))) and c.full]
    assert isinstance(engine.runner, TorchRunner)
    together = engine.max_batch // engine.runner.max_batch
    assert together > 1
    weights = []
    for clip in (clips[0], clips[1], clips[9], clips[9 + LENGTH]):  # the last after a gap: all of it is new
        weights.append(engine.weight(clip))
        engine.infer([clip])
    assert weights == [together, 1, 8 * together // LENGTH, together]
    assert engine.weight(clips[9 + LENGTH]) == 1
