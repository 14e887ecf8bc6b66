"""Random clips of several cameras, on which two engines are compared."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from streamcam.clips import SlidingWindow
from streamcam.engines.device.runner import TorchRunner
from streamcam.engines.device.streams import DeviceStreams
from streamcam.engines.stream_engine import StreamEngine
from streamcam.engines.window_engine import WindowEngine
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.head import Head
from streamcam.records import Clip, Heat
from tests.support.frames import TINY_FORMAT, make_frame

CPU = torch.device("cpu")


def unpadded_model() -> CamModel:
    """Make a model whose clips of 6 frames give 4 slices, the same in both engines."""
    torch.manual_seed(2)
    features = nn.Sequential(nn.Conv3d(3, 6, (3, 3, 3), (1, 2, 2)), nn.ReLU(), nn.Conv3d(6, 5, (1, 3, 3)), nn.ReLU())
    clip_format = replace(TINY_FORMAT, length=6)
    spec = ModelSpec("unpadded", "a test", ("red", "green", "blue"), clip_format, framewise=False, temporal_context=2)
    spec = replace(spec, temporal_offset=1.0)
    return CamModel(spec, features, Head([nn.Linear(5, 3)]))


def engine_of(
    name: str, model: CamModel, streams: DeviceStreams | None = None, *, device: torch.device = CPU, **options: object
) -> WindowEngine | StreamEngine:
    runner = TorchRunner(model, device, "fp32", streams=streams)
    runner.max_batch = 4
    engine = (WindowEngine if name == "window" else StreamEngine)(runner, top_k=2, **options)  # type: ignore[arg-type]
    engine.max_batch = 4
    return engine


def batches(model: CamModel, seed: int, *, count: int = 12) -> Iterator[list[Clip]]:
    """Yield batches of clips of five cameras. Each may be left out, bring several frames at once, or have a gap."""
    chance = random.Random(seed)
    names = [f"camera {i}" for i in range(5)]
    windows = {name: SlidingWindow(model.spec.clip_format) for name in names}
    next_frame = dict.fromkeys(names, 0)
    for _ in range(count):
        clips: dict[str, Clip] = {}
        for name in chance.sample(names, chance.randint(1, 4)):
            next_frame[name] += 100 if chance.random() < 0.05 else 0
            for _ in range(chance.choice([1, 1, 1, 2, 7])):
                clip = windows[name].push(make_frame(next_frame[name], source=name))
                next_frame[name] += 1
                clips = clips if clip is None else {**clips, name: clip}
        if clips:
            yield list(clips.values())


def assert_same(got: Sequence[Heat | None], expected: Sequence[Heat | None]) -> None:
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a is not None
        assert b is not None
        np.testing.assert_allclose(a.logits, b.logits, atol=1e-5)
        assert a.classes.tolist() == b.classes.tolist()
        np.testing.assert_allclose(a.cube, b.cube, atol=1e-5)
        np.testing.assert_allclose(a.common, b.common, atol=1e-5)
        np.testing.assert_allclose(a.pts_s, b.pts_s)


def check(
    engine: WindowEngine | StreamEngine, reference: WindowEngine | StreamEngine, model: CamModel, seed: int
) -> None:
    """Compare two engines. Submit several batches before the first is read, and read them late or out of order."""
    chance, submitted = random.Random(seed), []
    for clips in batches(model, seed):
        submitted.append((engine.submit(clips), reference.infer(clips)))
        while len(submitted) > chance.randint(0, 5):
            pending, expected = submitted.pop(chance.choice([0, 0, -1]))
            while chance.random() < 0.5 and not pending.done():
                pass
            assert_same(pending.wait(), expected)
            assert pending.done()
            assert_same(pending.wait(), expected)
    for pending, expected in submitted:
        assert_same(pending.wait(), expected)
