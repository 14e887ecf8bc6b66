"""On the packaged sample, the heat follows the thing that the network names."""

from types import ModuleType

import numpy as np
import pytest

import streamcam
from streamcam.heat.localise import centred_at
from tests.support.paths import ROOT

NAMED = {
    "cat": {"cat"},
    "cup": {"espresso", "cup", "coffee mug"},
}


def test_the_clip_is_small() -> None:
    assert (ROOT / "streamcam" / "data" / "sample.mp4").stat().st_size < 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "sampling", "windows"),
    [
        ("fp32", {}, 105),
        ("bf16", {"fps": 3, "window": 3, "hop": 1}, 22),  # fewer pictures: most processors emulate it, and take seconds
    ],
)
def test_the_heat_follows_the_thing_that_is_named(
    renderer: ModuleType, precision: str, sampling: dict[str, int], windows: int
) -> None:
    inside = []
    options = {"as_fast_as_possible": True, "precision": precision, "device": "cpu", **sampling}
    for result in streamcam.stream("sample", model="imagenet", **options):
        heat = result.heat
        assert heat is not None
        hot = np.clip(centred_at(heat, 0, result.frame.pts_s), 0, None)
        rows, columns = np.mgrid[: hot.shape[0], : hot.shape[1]] + 0.5
        x = (hot * columns).sum() / hot.sum() / hot.shape[1] * renderer.WIDTH
        y = (hot * rows).sum() / hot.sum() / hot.shape[0] * renderer.HEIGHT
        boxes = renderer.boxes(result.frame.pts_s)
        thing = next((name for name, labels in NAMED.items() if heat.labels[0] in labels), None)
        box = boxes.get(thing)
        inside.append(box is not None and box[0] <= x <= box[2] and box[1] <= y <= box[3])
    assert len(inside) == windows
    assert np.mean(inside) >= 0.9


def test_the_clip_is_what_the_renderer_renders(renderer: ModuleType) -> None:
    from threading import Event

    from streamcam.sources.base import open_source

    background, things = renderer.table(), {name: renderer.cut_out(name) for name in renderer.THINGS}
    source = open_source("sample", paced=False)
    for frame in source.frames(Event()):
        if frame.index % 60 == 30:
            rendered = renderer.render(frame.pts_s, background, things).astype(float)
            assert np.abs(rendered - frame.pixels).mean() < 6
    source.close()
