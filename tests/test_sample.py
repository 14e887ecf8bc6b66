"""On the packaged sample, the right thing is named, and its heat lies on it."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

import streamcam
from streamcam.cli.demo import demo_options
from streamcam.evaluate.annotations import read_npz
from streamcam.evaluate.objects import Mask
from streamcam.heat.localise import centred_at
from streamcam.records import Result
from tests.support.paths import PACKAGE, SAMPLE, SUPPORT

FPS, FRAMES = 23, 185
HEIGHT, WIDTH = 360, 640
NEAR = WIDTH // 28
"""Pixels beside a thing that count as on it."""

NAMED = {
    "swan": "bird",
    "dog": "dog",
    "car": "car",
}
"""What the network calls the three things."""

FIRST_HEAT_S = 1.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A frame's heat held against the truth."""

    named: bool
    """Whether the strongest class is what the frame shows."""
    on_it: bool
    """Whether its hottest place is on the thing."""
    visible: bool
    """Whether heat is painted there."""


@pytest.fixture(scope="module")
def truth() -> dict[str, Mask]:
    """The thing's masks by its name, each bool [T,H,W]."""
    objects, _ = read_npz(SUPPORT / "sample.npz", default=None)
    size = (HEIGHT, WIDTH)
    return {o.label: np.stack([o.mask(i, size=size, picture=size) for i in range(FRAMES)]) for o in objects}


def judge(result: Result, truth: dict[str, Mask]) -> Judged:
    heat, at = result.heat, round(result.frame.pts_s * FPS)
    assert heat is not None
    assert heat.scale is not None
    thing = next(name for name, masks in truth.items() if masks[at].any())
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * NEAR + 1, 2 * NEAR + 1))
    near = cv2.dilate(truth[thing][at].astype(np.uint8), around)
    hot = cv2.resize(centred_at(heat, 0, result.frame.pts_s), (WIDTH, HEIGHT))
    y, x = np.unravel_index(hot.argmax(), hot.shape)
    strength = hot[y, x] / heat.scale[0] * min(1.0, 2 * heat.scores[0])
    return Judged(heat.labels[0] == NAMED[thing], bool(near[y, x]), strength > 0.1)


def test_the_clip_is_small_and_its_credit_comes_along() -> None:
    assert SAMPLE.stat().st_size < 1_500_000
    credit = (PACKAGE / "data" / "NOTICE").read_text(encoding="utf-8")
    assert "Perazzi" in credit
    assert "Redistribution and use" in credit


def test_the_truth_knows_one_thing_in_each_frame(truth: dict[str, Mask]) -> None:
    assert truth.keys() == NAMED.keys()
    shown = [masks.any((1, 2)) for masks in truth.values()]
    assert (np.sum(shown, axis=0) == 1).all()


@pytest.fixture(scope="module")
def shown() -> list[Result]:
    """The clip's results as the demo computes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamcam.cli.demo.WEBCAM", "/no/such/camera")
        demo = demo_options({}, configured=False, headless=True)
    chosen = {key: demo[key] for key in ("model", "window")}
    return list(streamcam.stream("sample", as_fast_as_possible=True, device="cpu", **chosen))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_thing_is_named_and_its_heat_lies_on_it(shown: list[Result], truth: dict[str, Mask]) -> None:
    judged = [judge(result, truth) for result in shown]
    assert len(judged) > FRAMES / FPS * 15 * 0.9
    assert np.mean([j.named and j.on_it and j.visible for j in judged]) >= 0.9


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_first_heat_needs_little_video(shown: list[Result]) -> None:
    """It shall come within a second of the first picture: half of that is left for computing it."""
    assert shown[0].frame.pts_s <= FIRST_HEAT_S / 2
