"""Find how many cameras this machine sustains: run the whole pipeline with more and more paced files."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import cv2
import numpy as np

from streamcam.bench.measure import search_max_cameras
from streamcam.config import RunConfig, SourceConfig
from streamcam.metrics import Summary
from streamcam.models.base import CamModel
from streamcam.records import Image, Result
from streamcam.runtime.app import assemble, run
from streamcam.sinks.video_file import VideoRecorder
from streamcam.sources.base import open_source

SIZE = (640, 480)
"""Width and height of a camera's frames."""

TOLERANCE = 0.01
"""The share of windows, or of frames, that may be missing."""


@dataclass(frozen=True, slots=True)
class CameraRun:
    """What was measured with a number of cameras at once."""

    cameras: int
    missing: float
    """0–1, the share of windows that were dropped, or of frames that came too late for the run: the larger one."""
    p50_ms: float | None
    """Median latency, from the capture of a frame to the publishing of its heat; None where there was no heat."""
    p95_ms: float | None
    """The 95th percentile of that."""
    cores: float
    """Seconds of processor time for each second."""
    memory_mb: float
    """The memory of this process at the end, in MiB; 0 where the system does not say."""

    @property
    def sustained(self) -> bool:
        """Whether no more than `TOLERANCE` is missing."""
        return self.missing <= TOLERANCE


def write_camera(path: Path, fps: float) -> None:
    """Write the sample as a camera of `fps` frames a second would have filmed it."""

    def paint(result: Result) -> Image:
        return np.asarray(cv2.resize(result.frame.pixels, SIZE), np.uint8)

    with closing(open_source("sample", paced=False)) as source, VideoRecorder(path, source.name, paint) as recorder:
        next_s = 0.0
        for frame in source.frames(Event()):
            if frame.pts_s >= next_s - 1e-6:  # times are rounded
                recorder.on_frame(Result(replace(frame, pts_s=next_s)))
                next_s += 1 / fps


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
    """Run the pipeline with `count` cameras, and publish without subscribers.

    Args:
        model: the model to run.
        camera: the file that each camera plays; the socket is made in its folder.
        count: the number of cameras.
        fps: the file's frames a second.
        seconds: how long to run, once the first window is full.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
    """
    clip_format = model.spec.clip_format
    # Before the first window is full, there is nothing to compute.
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
        missing=missing_share(summary, expected_frames=count * seconds * fps),
        p50_ms=latency.get("p50"),
        p95_ms=latency.get("p95"),
        cores=cores,
        memory_mb=_memory_mb(),
    )


def missing_share(summary: Summary, *, expected_frames: float) -> float:
    """Return the share of a run's windows or frames that is missing, 0–1: the larger one; 1 without any result."""
    dropped = sum(summary.drops.values()) / max(1, summary.windows)
    # A camera's first frame comes at once and its last just before the end: two frames more or less mean nothing.
    unread = (expected_frames - summary.frames) / expected_frames - 2 * len(summary.sources) / expected_frames
    return float(np.clip(max(dropped, unread, 0.0 if summary.results else 1.0), 0.0, 1.0))


def measure_cameras(
    model: CamModel,
    *,
    fps: float,
    seconds: float,
    backend: str,
    device: str,
    precision: str,
    enough: Callable[[], bool],
) -> list[CameraRun]:
    """Run more and more cameras in this process, as `search_max_cameras` does, each number for `seconds`.

    Args:
        model: the model to run.
        fps: frames a second of each camera.
        seconds: as for `run_cameras`.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
        enough: whether the time is up; called after each run.
    """
    with tempfile.TemporaryDirectory(prefix="streamcam-") as folder:
        camera = Path(folder) / "camera.mp4"
        write_camera(camera, fps)
        options = {"backend": backend, "device": device, "precision": precision}

        def attempt(count: int) -> CameraRun:
            return run_cameras(model, camera, count, fps=fps, seconds=seconds, **options)

        return search_max_cameras(attempt, enough=enough)


def _memory_mb() -> float:
    """Return the memory of this process (resident set size) in MiB; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
