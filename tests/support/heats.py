"""Heat for tests, made of small arrays."""

from dataclasses import replace

import numpy as np

from streamcam.records import Floats, Heat, Transform


def make_heat(**changes: object) -> Heat:
    values: dict[str, object] = {
        "cube": np.ones((2, 3, 4, 5), np.float32),
        "common": np.zeros((3, 4, 5), np.float32),
        "classes": np.array([4, 1]),
        "labels": ("a", "b"),
        "scores": np.array([0.6, 0.2], np.float32),
        "logits": np.zeros(6, np.float32),
        "scale": None,
        "pts_s": np.array([0.0, 0.1, 0.2]),
        "clip_pts_s": (0.0, 0.2),
        "transform": Transform(),
        "model": "m",
        "model_hash": "h",
    }
    return Heat(**(values | changes))  # type: ignore[arg-type]


WHOLE = Transform()


def one_class_heat(
    contrast: Floats, *, score: float = 1.0, scale: float | None = None, transform: Transform = WHOLE
) -> Heat:
    """One class with a contrast of [L',h,w] over a common map that is not nothing; slice i speaks of second i."""
    slices = len(contrast)
    common = np.linspace(-3, 3, contrast.size, dtype=np.float32).reshape(contrast.shape)
    return Heat(
        cube=(contrast + common)[None].astype(np.float32),
        common=common,
        classes=np.array([0]),
        labels=("cat",),
        scores=np.array([score], np.float32),
        logits=np.array([2.0], np.float32),
        scale=None if scale is None else np.array([scale], np.float32),
        pts_s=np.arange(slices, dtype=np.float64),
        clip_pts_s=(0.0, float(slices - 1)),
        transform=transform,
        model="m",
        model_hash="0",
    )


def with_classes(heat: Heat, count: int, *, label: str = "class") -> Heat:
    return replace(
        heat,
        cube=np.repeat(heat.cube, count, axis=0),
        classes=np.arange(count),
        labels=tuple(f"{label} {i}" for i in range(count)),
        scores=np.linspace(0.9, 0.0, count, dtype=np.float32),
        logits=np.zeros(count, np.float32),
    )
