"""Measures what a frame of a stream costs in `motion`, with the version of streamcam that Python finds.

python scripts/light/frame_cost.py SOURCES SECONDS: prints the median of milliseconds a frame. It runs with this version
and with earlier ones, so it looks for what there is.
"""

import statistics
import sys
import time
from typing import Any

import numpy as np

from streamcam.config.load import make_config
from streamcam.records import Clip, Frame, Transform

LENGTH, FPS = 32, 15


def engine_of(sources: int) -> Any:
    """Make the engine that `streamcam run` takes for so many live cameras, in float32."""
    names = [{"uri": "sample", "name": f"cam{i}"} for i in range(sources)]
    config = make_config({"sources": names, "bind": "none", "precision": "fp32"})
    try:
        from streamcam.runtime.network import find_network
    except ImportError:
        from streamcam.engines.backends import make_engine
        from streamcam.engines.device.hardware import a_core_left_free
        from streamcam.models.registry import load_model

        a_core_left_free().__enter__()  # as a run does, for as long as it lasts
        return make_engine(load_model("motion"), precision="fp32")
    (engine,) = find_network(config).make_engines(None, None)
    return engine


def clips(sources: int, index: int, frames: np.ndarray) -> list[Clip]:
    """Give the clip of each source that ends with this frame."""
    first = max(0, index + 1 - LENGTH)
    window = frames[np.arange(first, index + 1) % len(frames)]
    made = []
    for i in range(sources):
        last = Frame(np.zeros((2, 2, 3), np.uint8), index, index / FPS, 0, f"cam{i}")
        times = np.arange(first, index + 1) / FPS
        made.append(Clip(window, times, index, last, Transform(), full=len(window) == LENGTH))
    return made


def main() -> None:
    sources, seconds = int(sys.argv[1]), float(sys.argv[2])
    engine = engine_of(sources)
    frames = np.random.default_rng(0).integers(0, 255, (64, 3, 112, 144), dtype=np.uint8)
    for index in range(2 * LENGTH):  # until it is warm
        engine.infer(clips(sources, index, frames))
    times_ms: list[float] = []
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        index += 1
        batch = clips(sources, index, frames)
        begin_s = time.perf_counter()
        engine.infer(batch)
        times_ms.append((time.perf_counter() - begin_s) * 1e3 / sources)
    print(statistics.median(times_ms))


if __name__ == "__main__":
    main()
