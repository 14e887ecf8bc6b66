"""How many cameras? The whole pipeline with more and more paced files, until something is dropped."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import cv2
import numpy as np

from streamcam.bench.measure import most
from streamcam.config import RunConfig, SourceConfig
from streamcam.metrics import Summary
from streamcam.models.base import CamModel
from streamcam.records import Image, Result
from streamcam.runtime.app import assemble, run
from streamcam.sinks.video_file import VideoRecorder
from streamcam.sources.base import open_source

SIZE = (640, 480)
"""Width and height of a camera's picture."""

TOLERANCE = 0.01
"""Of all windows and frames, what may be missing."""


@dataclass(frozen=True, slots=True)
class CameraRun:
    """What so many cameras at once came to."""

    cameras: int
    missing: float
    """The share of windows, or of frames, that was dropped or came too late to be in the run: whichever is more."""
    p50_ms: float | None
    """From a frame's capture to its heat's being published; None where there was no heat."""
    p95_ms: float | None
    cores: float
    """Seconds of processor time for each second."""
    memory_mb: float
    """What the process has in memory at the end."""

    @property
    def sustained(self) -> bool:
        """Whether all came through."""
        return self.missing <= TOLERANCE


def write_camera(path: Path, fps: float) -> None:
    """Write the sample as a camera of `fps` frames a second would have filmed it."""

    def painted(result: Result) -> Image:
        return np.asarray(cv2.resize(result.frame.pixels, SIZE), np.uint8)

    with closing(open_source("sample", paced=False)) as source, VideoRecorder(path, source.name, painted) as recorder:
        due_s = 0.0
        for frame in source.frames(Event()):
            if frame.pts_s >= due_s - 1e-6:
                recorder.on_frame(Result(replace(frame, pts_s=due_s)))
                due_s += 1 / fps


def run_cameras(
    model: CamModel,
    camera: Path,
    count: int,
    *,
    fps: float,
    seconds: float,
    backend: str = "auto",
    device: str,
    precision: str,
) -> CameraRun:
    """Run so many cameras, published where nobody listens.

    Args:
        model: what to run.
        camera: the file that each of them plays; the socket is put beside it.
        count: how many.
        fps: the file's frames a second.
        seconds: how long, from when the first window is full.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
    """
    clip_format = model.spec.clip_format
    seconds += clip_format.length / clip_format.fps
    sources = [SourceConfig(uri=str(camera), name=f"cam{i + 1}") for i in range(count)]
    options = {"backend": backend, "device": device, "precision": precision, "bind": f"ipc://{camera.parent}/bench"}
    config = RunConfig.model_validate({"sources": sources, "loop": True, "seconds": seconds, **options})
    with ExitStack() as stack:
        live = assemble(config, stack, model=model)
        start_s, cpu_s = time.perf_counter(), time.process_time()
        summary = run(live)
        cores = (time.process_time() - cpu_s) / (time.perf_counter() - start_s)
    latency = summary.latency_ms["capture_to_result"]
    return CameraRun(
        cameras=count,
        missing=missing_of(summary, expected_frames=count * seconds * fps),
        p50_ms=latency.get("p50"),
        p95_ms=latency.get("p95"),
        cores=cores,
        memory_mb=_memory_mb(),
    )


def missing_of(summary: Summary, *, expected_frames: float) -> float:
    """The share of a run that is missing: 0–1."""
    dropped = sum(summary.drops.values()) / max(1, summary.windows)
    # A camera has its first frame at once and its last just before the end; two frames either way are nobody's fault.
    unread = (expected_frames - summary.frames) / expected_frames - 2 * len(summary.sources) / expected_frames
    return float(np.clip(max(dropped, unread, 0.0 if summary.results else 1.0), 0.0, 1.0))


def find_most(
    model: CamModel,
    *,
    fps: float,
    seconds: float,
    backend: str,
    device: str,
    precision: str,
    enough: Callable[[], bool],
) -> list[CameraRun]:
    """Try numbers of cameras, each for so many seconds, in this process; `enough` is asked after each."""
    with tempfile.TemporaryDirectory(prefix="streamcam-") as folder:
        camera = Path(folder) / "camera.mp4"
        write_camera(camera, fps)
        options = {"backend": backend, "device": device, "precision": precision}
        return most(lambda count: run_cameras(model, camera, count, fps=fps, seconds=seconds, **options), enough=enough)


def _memory_mb() -> float:
    """What this process has in memory (0 where the system does not say)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
