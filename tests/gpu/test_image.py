"""GPU images are as the host's pictures, to rounding. What needs no GPU runs on the CPU, tensors and all."""

from typing import Any

import numpy as np
import pytest
import torch

from streamcam.clips import prepare
from streamcam.gpu.image import TorchImage, to_rgb
from streamcam.heat.localise import Box
from streamcam.records import Frame, Heat, Image, Result, Transform, on_host
from streamcam.render.canvas import Caption
from streamcam.render.overlay import overlay, paint
from streamcam.sources import log_once
from streamcam.transport.messages import decode, encode_picture
from tests.support.frames import TINY_FORMAT
from tests.support.heats import one_class_heat, with_classes
from tests.support.images import OLD_ENCODER, a_scene, apart, psnr_db
from tests.support.messages import STAMP

pytestmark = OLD_ENCODER
DEVICES = ["cpu", pytest.param("cuda:0", marks=pytest.mark.needs_cuda)]
INK_ROUNDS = 2
"""Grey levels: text is rounded twice, on the host each stroke is."""
LONG = Caption(
    "camera-1", ("what you see is 0.35 s old", "its heat is 0.8 s older", "cannot keep up: a window every 0.53 s")
)
BUSY = Transform(0.1, 0.05, 0.93, 1.0)


def some_heat(*, classes: int = 7) -> Heat:
    contrast = np.random.default_rng(1).normal(0, 4, (2, 7, 9)).astype(np.float32)
    return with_classes(one_class_heat(contrast, transform=BUSY), classes)


def on(device: str, image: Image) -> TorchImage:
    return TorchImage(torch.from_numpy(image).permute(2, 0, 1).contiguous().to(device))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(36, 48), (240, 320), (241, 377), (16, 16), (17, 200), (9, 11)])
def test_it_is_prepared_as_by_the_host(device: str, size: tuple[int, int]) -> None:
    image = a_scene(*size)
    prepared = prepare(on(device, image), TINY_FORMAT)
    assert apart(prepared, prepare(image, TINY_FORMAT)) <= 1
    assert prepared.flags.c_contiguous


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("opacity", [0.6, 1.0])
@pytest.mark.parametrize("size", [(37, 51), (120, 200), (720, 1280)])
def test_heat_is_painted_as_by_the_host(device: str, size: tuple[int, int], opacity: float) -> None:
    image, heat = a_scene(*size), some_heat()
    painted = paint(image, heat, k=2, pts_s=0.3, scale=6.0, opacity=opacity)
    bare = on(device, image)
    result = Result(Frame(bare, 0, 0.3, 0, "cam"), heat)
    got = on_host(overlay(result, scale=6.0, k=2, opacity=opacity, caption=Caption("")))
    clear = np.s_[round(0.15 * size[0]) : round(0.4 * size[0]), round(0.5 * size[1]) :]  # of text
    assert apart(got[clear], painted[clear]) <= 1
    assert apart(painted[clear], image[clear]) > 50
    assert np.array_equal(bare.fetch(), image)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(37, 51), (120, 200), (360, 480), (1080, 1920)])
@pytest.mark.parametrize("heat", [None, some_heat(), some_heat(classes=1)], ids=["none", "seven", "one"])
@pytest.mark.parametrize("caption", [None, LONG], ids=["short", "long"])
def test_an_overlay_is_that_of_the_host(
    device: str, size: tuple[int, int], heat: Heat | None, caption: Caption | None
) -> None:
    """Where there is no room, texts lie on one another; each pixel is still drawn once."""
    image = a_scene(*size)
    options: dict[str, Any] = {"scale": 6.0, "caption": caption, "k": 0}
    host = overlay(Result(Frame(image, 0, 0.3, 0, "cam"), heat), **options)
    there = overlay(Result(Frame(on(device, image), 0, 0.3, 0, "cam"), heat), **options)
    assert isinstance(there, TorchImage)
    assert apart(there, host) <= INK_ROUNDS
    assert (np.abs(there.fetch().astype(int) - host) > 1).mean() < 1e-3
    assert apart(host, image) > 50


def test_a_box_is_drawn_on_it() -> None:
    image, heat = a_scene(120, 200), some_heat()
    host, there = (
        overlay(Result(Frame(p, 0, 0.3, 0, "cam"), heat), scale=6.0, box=Box(40, 30, 160, 90))
        for p in (image, on("cpu", image))
    )
    assert apart(host, there) <= INK_ROUNDS


def test_only_what_is_drawn_crosses_the_bus() -> None:
    with_patches: list[int] = []

    class Counting(TorchImage):
        def heated(self, *arguments: Any, **options: Any) -> TorchImage:
            return self

        def with_patches(self, patches: Any) -> TorchImage:
            with_patches.append(sum(patch.colour.nbytes + patch.transmittance.nbytes for patch in patches))
            return self

    image = a_scene(1080, 1920)
    picture = Counting(torch.from_numpy(image).permute(2, 0, 1))
    overlay(Result(Frame(picture, 0, 0.0, 0, "cam"), some_heat()), scale=6.0, caption=LONG)
    assert 0 < with_patches[0] < image.nbytes / 5


@pytest.mark.parametrize("device", DEVICES)
def test_a_jpeg_made_there_passes_for_one_of_the_host(device: str) -> None:
    image = a_scene(360, 480)
    result = Result(Frame(on(device, image), 0, 0.3, 0, "cam"), some_heat())
    painted = overlay(result, scale=6.0)
    assert painted.jpeg(85) is not None  # type: ignore[union-attr]
    got, host = (decode(encode_picture("overlay", result, p, STAMP)).result for p in (painted, on_host(painted)))
    assert got is not None
    assert host is not None
    assert psnr_db(got.frame.pixels, on_host(painted)) > 35
    assert psnr_db(got.frame.pixels, on_host(painted)) > psnr_db(host.frame.pixels, on_host(painted)) - 1


def test_where_no_jpeg_can_be_made_the_host_makes_it_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("encode_jpegs_cuda: torchvision not compiled with nvJPEG support\nat somewhere")

    monkeypatch.setattr("torchvision.io.encode_jpeg", broken)
    monkeypatch.setattr(log_once, "_logged", set())
    image = a_scene(120, 200)
    result = Result(Frame(on("cpu", image), 0, 0.0, 0, "cam"))
    for _ in range(3):
        sent = encode_picture("frame", result, result.frame.picture, STAMP)
        assert sent == encode_picture("frame", result, image, STAMP)
    assert [record.message for record in caplog.records] == [
        "cpu makes no JPEG files (encode_jpegs_cuda: torchvision not compiled with nvJPEG support): the CPU does"
    ]


def test_white_is_white_and_black_is_black() -> None:
    """By the standard's own numbers; what is beyond them is cut off."""
    luma = torch.tensor([[16, 235, 0, 255]], dtype=torch.uint8)
    grey = torch.full((1, 2, 2), 128, dtype=torch.uint8)
    assert to_rgb(luma, grey, matrix=1, full_range=False)[0].tolist() == [[0, 255, 0, 255]]
    assert to_rgb(luma, grey, matrix=1, full_range=True)[1].tolist() == [[16, 235, 0, 255]]
    red = torch.tensor([[[90, 240]]], dtype=torch.uint8)  # BT.601: Y 81, Cb 90, Cr 240
    assert to_rgb(torch.tensor([[81]], dtype=torch.uint8), red, matrix=5, full_range=False).flatten().tolist() == [
        254,
        0,
        0,
    ]
