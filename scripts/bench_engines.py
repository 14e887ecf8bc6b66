"""What does a window cost? Each engine on consecutive windows of one synthetic camera, alternating.

python scripts/bench_engines.py [--windows 15]
"""

import argparse
import statistics
import time

import numpy as np

from streamcam.clips import SlidingWindow
from streamcam.engines import ENGINES, make_engine
from streamcam.models import CamModel, load_model
from streamcam.records import Frame


def measure(model: CamModel, precision: str, windows: int) -> dict[str, float]:
    """Median milliseconds per window of every engine; they take turns on the same clips."""
    engines = [make_engine(model, name=name, device="cpu", precision=precision) for name in ENGINES]
    window = SlidingWindow(model.spec.clip_format)
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    taken: dict[str, list[float]] = {name: [] for name in ENGINES}
    for i in range(model.spec.clip_format.length + windows):
        clip = window.push(Frame(np.roll(noise, 8 * i, axis=1), i, i / model.spec.clip_format.fps, 0, "camera"))
        for engine in engines if clip is not None else ():
            start_s = time.perf_counter()
            engine.infer([clip])
            taken[engine.name].append((time.perf_counter() - start_s) * 1e3)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=15)
    windows = parser.parse_args().windows
    print("| model | precision | `window` | `stream` | ratio |\n|---|---|---|---|---|")
    for name in ("imagenet", "motion", "r3d_18"):
        model = load_model(name, weights="none" if name == "r3d_18" else None)
        for precision in ("fp32", "bf16"):
            ms = measure(model, precision, windows)
            ratio = ms["window"] / ms["stream"]
            print(f"| {name} | {precision} | {ms['window']:.0f} ms | {ms['stream']:.1f} ms | {ratio:.1f} |")


if __name__ == "__main__":
    main()
