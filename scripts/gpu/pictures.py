"""What a picture of full size costs where it lies: decoded, prepared, painted and made into a JPEG file."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import torch

from scripts.benchmarks.common import spread, table
from scripts.gpu.common import DeviceTurn, GpuPlan, model_of, tried
from streamcam.bench.measure import Spread
from streamcam.clips import prepare
from streamcam.gpu.image import TorchImage
from streamcam.records import Frame, Heat, Image, Picture, Result, Transform
from streamcam.render.canvas import Caption
from streamcam.render.overlay import overlay

SIZES, QUICK_SIZES = ((720, 1280), (1080, 1920)), ((96, 128),)
QUALITY = 85
FRAMES = 150
CAPTION = Caption("camera", ("what you see is 0.04 s old",))


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """A row for each size and each thing that is done."""
    rows: list[dict[str, Any]] = []
    cases = [(size, work) for size in plan.sized(SIZES, QUICK_SIZES) for work in (prepared, watched, decoded)]
    for left, (size, work) in zip(range(len(cases), 0, -1), cases, strict=True):
        row = tried(partial(work, plan, size, 0.7 * plan.left_s / left))
        rows.append({"size": size, "work": work.__name__, **row})
        yield {"rows": rows}


def prepared(plan: GpuPlan, size: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Brought to network size, in the host's memory."""
    clip_format = model_of("motion", plan).spec.clip_format
    return {"ms": of_both(plan, size, lambda picture: prepare(picture, clip_format), seconds)}


def watched(plan: GpuPlan, size: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Painted, and made into a JPEG file in the host's memory."""

    def work(picture: Picture) -> bytes:
        painted = overlay(Result(Frame(picture, 0, 0.3, 0, "camera"), a_heat()), scale=6.0, caption=CAPTION)
        if isinstance(painted, np.ndarray):
            bgr = cv2.cvtColor(painted, cv2.COLOR_RGB2BGR)
            return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        jpeg = painted.jpeg(QUALITY)
        if jpeg is None:
            raise RuntimeError("no JPEG file can be made there")
        return jpeg

    return {"ms": of_both(plan, size, work, seconds)}


def decoded(plan: GpuPlan, size: tuple[int, int], seconds: float) -> dict[str, Any]:
    """A file's pictures, in RGB where they were decoded; H.264 of a moving test picture."""
    from streamcam.gpu.decoder import GpuDecoder  # these two take PyAV
    from streamcam.sources.base import open_source

    decoders = {"host": None} | ({"gpu": GpuDecoder(plan.device)} if plan.on_gpu else {})
    count = 10 if plan.quick else FRAMES
    with tempfile.TemporaryDirectory(prefix="streamcam-") as folder:
        path = write_video(Path(folder) / "video.mkv", size, count)

        def reading(where: str) -> Callable[[], None]:
            def read() -> None:
                with closing(open_source(str(path), paced=False, decoder=decoders[where])) as source:
                    pictures = [type(frame.image) for frame in source.frames(Event())]
                if len(pictures) != count or (where == "gpu") != (pictures[-1] is TorchImage):
                    raise RuntimeError(f"{len(pictures)} pictures, the last one {pictures[-1].__name__}")

            return read

        return {"ms": spreads(plan, {where: (reading(where), count) for where in decoders}, seconds)}


def of_both(plan: GpuPlan, size: tuple[int, int], work: Callable[[Picture], object], seconds: float) -> dict[str, Any]:
    """Measure some work on a picture of the host, and on a GPU image."""
    image = a_scene(size)
    there = TorchImage(torch.from_numpy(image).permute(2, 0, 1).contiguous().to(plan.device))
    return spreads(plan, {"host": (lambda: work(image), 1), "gpu": (lambda: work(there), 1)}, seconds)


def spreads(plan: GpuPlan, works: dict[str, tuple[Callable[[], object], int]], seconds: float) -> dict[str, Any]:
    """Milliseconds a picture, in turns."""
    turns = {name: DeviceTurn(plan.device, work, per=count) for name, (work, count) in works.items()}
    return {name: asdict(Spread.of(values)) for name, values in plan.alternate_for(turns, seconds).items()}


def a_scene(size: tuple[int, int]) -> Image:
    coarse = np.random.default_rng(0).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def a_heat() -> Heat:
    rng, labels = np.random.default_rng(1), tuple(f"class {i}" for i in range(5))
    cube = rng.normal(0, 4, (5, 2, 7, 7)).astype(np.float32)
    scores, numbers = np.linspace(0.9, 0.1, 5, dtype=np.float32), np.arange(5)
    times = np.array([0.0, 1.0])
    return Heat(
        cube, cube.mean(0), numbers, labels, scores, scores, None, times, (0.0, 1.0), Transform(), "motion", "0"
    )


def write_video(path: Path, size: tuple[int, int], count: int) -> Path:
    """So many pictures, each moved on from the one before."""
    import av

    scene = a_scene(size)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for i in range(count):
            picture = av.VideoFrame.from_ndarray(np.roll(scene, 4 * i, axis=1), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    rows = []
    for row in figures["rows"]:
        name = f"{row['size'][1]}×{row['size'][0]}, {row['work']}"
        if "failed" in row:
            rows.append([name, f"failed: {row['failed']}"])
            continue
        rows.append([name, *(spread(row["ms"][w], ".3f", " ms") if w in row["ms"] else "–" for w in ("host", "gpu"))])
    return table(("a picture", "on the host", "on the GPU"), rows)
