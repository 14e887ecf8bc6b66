"""Pictures keep their aspect: each gets the nearest of the sizes that a network takes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from streamcam.clips import SlidingWindow, prepare, transform_of
from streamcam.engines.backends import make_engine, make_runner
from streamcam.engines.stream_engine import StreamEngine
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.registry import MODELS, load_model
from streamcam.records import Clip, ClipFormat, Frame, Heat, Transform

FORMAT = ClipFormat(4, 10, (64, 96), (64, 96), (127.0,) * 3, (128.0,) * 3, ((64, 64), (96, 64)))


def frame(i: int, height: int, width: int, source: str = "cam") -> Frame:
    image = np.random.default_rng(i).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Frame(image, i, i / 10, 0, source)


@pytest.mark.parametrize(
    ("picture", "size"),
    [((480, 720), (64, 96)), ((480, 1200), (64, 96)), ((500, 480), (64, 64)), ((720, 480), (96, 64))],
)
def test_a_picture_gets_the_nearest_aspect_and_is_seen_whole(picture: tuple[int, int], size: tuple[int, int]) -> None:
    fitted = FORMAT.fitted(*picture)
    assert fitted.resize == fitted.crop == size
    assert prepare(np.zeros((*picture, 3), np.uint8), FORMAT).shape == (3, *size)
    assert transform_of(FORMAT) == Transform()


def test_a_crop_and_several_sizes_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="no crop beside shapes"):
        replace(FORMAT, crop=(48, 48))


def test_a_network_of_clips_takes_one_size() -> None:
    with pytest.raises(StreamcamError, match="takes one size of picture only"):
        replace(MODELS["r3d_18"].spec, clip_format=FORMAT)


def test_a_source_that_changes_its_size_gets_clips_of_the_new_one() -> None:
    window = SlidingWindow(FORMAT)
    clips = [window.push(frame(i, 48, 72)) for i in range(5)] + [window.push(frame(i, 72, 48)) for i in range(5, 12)]
    shapes = [clip.frames.shape[2:] for clip in clips if clip is not None]
    assert shapes == sorted(shapes)
    assert set(shapes) == {(64, 96), (96, 64)}


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.spec.clip_format.shapes])
def test_shapes_hold_common_aspects_in_strides_of_the_network(name: str) -> None:
    clip_format = MODELS[name].spec.clip_format
    for shape in clip_format.shapes:
        assert max(shape) % 32 == 0 or max(shape) == min(shape)
    for height, width in ((1080, 1920), (480, 640), (512, 512), (640, 480), (1920, 1080)):
        h, w = clip_format.fitted(height, width).crop
        assert w / h == pytest.approx(width / height, rel=0.08)


@pytest.fixture(scope="module")
def model() -> CamModel:
    return load_model("imagenet-fast").with_clip_format(length=2)


def clips_of(model: CamModel, count: int, *, head_start: bool) -> list[list[Clip]]:
    """For each moment, clips of three cameras: two wide ones, and an upright one between them."""
    sizes = {"a": (90, 160), "b": (160, 90), "c": (90, 160)}
    windows = {name: SlidingWindow(model.spec.clip_format, head_start=head_start) for name in sizes}
    moments = [[windows[n].push(frame(7 * i + ord(n), *sizes[n], source=n)) for n in sizes] for i in range(count)]
    return [[clip for clip in moment if clip is not None] for moment in moments]


@pytest.mark.parametrize("name", ["window", "stream"])
def test_cameras_of_different_aspects_share_an_engine(model: CamModel, name: str) -> None:
    together = make_engine(model, name=name, device="cpu", precision="fp32")
    compared = 0
    for clips in clips_of(model, 4, head_start=together.head_start):
        for clip, heat in zip(clips, together.infer(clips), strict=True):
            if heat is None or len(clip.frames) < 2:
                continue
            x = model.normalise(torch.from_numpy(clip.frames)[None])
            with torch.inference_mode():
                output = model(x)
            np.testing.assert_allclose(heat.logits, output.logits[0], atol=1e-4)
            np.testing.assert_allclose(heat.cube, output.cube[0, heat.classes], atol=1e-3)
            compared += 1
    assert compared >= 6


def test_push_takes_frames_of_different_aspects(model: CamModel) -> None:
    engine = make_engine(model, name="stream", device="cpu", precision="fp32")
    assert isinstance(engine, StreamEngine)
    slices = engine.push([frame(0, 90, 160, "a"), frame(1, 160, 90, "b"), frame(2, 90, 160, "a")])
    assert [(s.source, s.cube.shape[1:]) for s in slices] == [("a", (6, 11)), ("a", (6, 11)), ("b", (11, 6))]


@pytest.mark.parametrize("name", ["imagenet-fast", "mobilenet_v3_small"])
def test_openvino_gives_the_same_heat_for_each_shape(name: str) -> None:
    pytest.importorskip("openvino")
    model = load_model(name, weights="none" if name != "imagenet-fast" else None).with_clip_format(length=2)
    torch_runner, openvino = (
        make_runner(model, backend=b, device="cpu", precision="fp32") for b in ("torch", "openvino")
    )
    for height, width in (model.spec.clip_format.crop, model.spec.clip_format.shapes[-1]):
        pixels = np.random.default_rng(0).integers(0, 255, (2, 3, height, width), dtype=np.uint8)
        expected, got = torch_runner.run([pixels]), openvino.run([pixels])
        assert (got.cube - expected.cube).abs().max() <= 1e-3 * expected.cube.abs().max()


def test_a_loaded_model_explains_pictures_of_each_aspect(model: CamModel) -> None:
    shapes = [model.explain(frame(0, *size).pixels[None]).cube.shape[2:] for size in ((90, 160), (120, 160), (160, 90))]
    assert shapes == [(6, 11), (7, 9), (11, 6)]
    assert isinstance(model.explain(frame(0, 60, 80).pixels[None]), Heat)
