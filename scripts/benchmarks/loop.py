"""The loop that people write today, against the same by streamcam: a video in, an overlay of every frame out."""

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from threading import Event
from typing import Any

import cv2
import numpy as np
import torch

from scripts.benchmarks.common import PRECISIONS, Plan, not_run, r3d_model, random_r3d, spread, table, those_that_work
from streamcam.bench.measure import Spread, ratios, timed_ms
from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine
from streamcam.records import Frame, Image, Result, on_host
from streamcam.render.overlay import Painter
from streamcam.sources.address import parse_address
from streamcam.sources.base import open_source

SECONDS = 80.0
LENGTH, FPS = 16, 30.0
BASE = "by hand: OpenCV, deque, grad-cam, fp32"
STRIDE = 8
"""Frames until r3d_18's work repeats: a streaming method's turn."""


def measure(plan: Plan) -> dict[str, Any]:
    """Milliseconds a frame of each, and how many times as long the loop by hand takes."""
    builders = {BASE: lambda: Frames(by_hand(), 1)}
    for engine, count in (("window", 1), ("stream", STRIDE)):
        for precision in PRECISIONS:
            name = f"streamcam, {engine}, hop 1, {precision}"
            builders[name] = partial(_streamcam_frames, engine, precision, count)
    turns, absent = those_that_work(builders, plan.say)
    taken = plan.alternate(turns)
    return {
        "ms": {name: asdict(Spread.of(values)) for name, values in taken.items()},
        "ratio": {name: asdict(ratios(taken[BASE], v)) for name, v in taken.items()} if BASE in taken else {},
        "absent": absent,
    }


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for name, ms in figures["ms"].items():
        ratio = figures["ratio"].get(name)
        rate = f"{1e3 / ms['median']:.1f}"
        rows.append([name, spread(ms, unit=" ms"), rate, spread(ratio) if ratio else ""])
    rows += not_run(figures["absent"], 4)
    return table(("loop", "a frame", "frames/s", "times as fast"), rows)


class Frames:
    """A loop's turn: so many overlays."""

    def __init__(self, overlays: Iterator[Image], count: int) -> None:
        self._overlays, self._count = overlays, count
        for _ in islice(overlays, 8 * STRIDE if count > 1 else 1):  # a stream is at its full work from then on
            pass

    def __call__(self) -> float:
        """Milliseconds a frame."""
        return timed_ms(lambda: list(islice(self._overlays, self._count)), frames=self._count)


def by_hand() -> Iterator[Image]:
    """Overlays of every frame, BGR, as examples on the web make them."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import show_cam_on_image

    network, clip_format = random_r3d(), r3d_model().spec.clip_format
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (clip_format.mean, clip_format.std))
    clip: deque[torch.Tensor] = deque(maxlen=LENGTH)
    cam = GradCAM(network, [network.layer4])
    for frame in captured():
        small = cv2.cvtColor(cv2.resize(frame, (171, 128)), cv2.COLOR_BGR2RGB)[8:120, 29:141]
        clip.append((torch.from_numpy(small).permute(2, 0, 1).float() - mean) / std)
        if len(clip) < LENGTH:
            continue
        heat = cam(torch.stack(list(clip), dim=1)[None], None)[0, -1]
        heat = cv2.resize(heat, frame.shape[1::-1])
        yield show_cam_on_image(frame.astype(np.float32) / 255, heat)


def _streamcam_frames(engine: str, precision: str, count: int) -> Frames:
    return Frames(by_streamcam(engine, precision), count)


def captured() -> Iterator[Image]:
    """The sample, over and over, by OpenCV."""
    path = parse_address("sample").url
    while True:
        capture = cv2.VideoCapture(path)
        while (read := capture.read())[0]:
            yield np.asarray(read[1], np.uint8)


def by_streamcam(engine_name: str, precision: str) -> Iterator[Image]:
    """The same by streamcam's parts, one after the other in one thread: source, window, engine, painter."""
    model = r3d_model(length=LENGTH, fps=FPS)
    engine = make_engine(model, name=engine_name, device="cpu", precision=precision, top_k=1)
    window, painter = SlidingWindow(model.spec.clip_format), Painter()
    for frame in one_session():
        clip = window.push(frame)
        heat = engine.infer([clip])[0] if clip is not None else None
        if heat is not None:
            yield on_host(painter.overlay(Result(frame, heat)))


def one_session() -> Iterator[Frame]:
    """The sample, over and over, as if it were one long video."""
    for i, frame in enumerate(open_source("sample", paced=False, loop=True).frames(Event())):
        yield replace(frame, index=i, pts_s=i / FPS, session=0)
