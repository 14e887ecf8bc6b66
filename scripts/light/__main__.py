"""Measures what a run costs, side by side with an earlier version, in turns.

    git worktree add ../before v0.2.0 && (cd ../before && scripts/install)
    python -m venv ../light && ../light/bin/pip install . && python -m scripts.light --before ../before --light ../light

--before TREE   a checkout of the earlier version, with its .venv
--light VENV    a virtual environment with this version and no PyTorch
--rounds N      how often each measure takes a turn (3)
--only NAMES    measures, with commas between them
--markdown FILE fill the table between <!-- light --> and <!-- /light --> of this page
"""

import argparse
import statistics
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
from rich.console import Console

from scripts.benchmarks.pages import filled, some_of
from scripts.light import measures
from scripts.light.measures import Version
from scripts.paths import ROOT
from streamcam.bench.cameras import write_camera

FULL_HD = (1920, 1080)

Measure = Callable[[Version], float]


def main() -> None:
    names = ("installed", "memory", "start", "start-fast", "frame", "frames-of-eight", "full-hd", "cameras")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--light", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=some_of(names), default=list(names))
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    before = Version((options.before / ".venv/bin/python").absolute(), options.before.resolve())
    now = Version((options.light / "bin/python").absolute(), ROOT)
    console = Console()
    rows = ["| | before | now | now ÷ before |", "|---|---:|---:|---:|"]
    with TemporaryDirectory() as folder:
        camera, full_hd = Path(folder, "camera.mp4"), Path(folder, "full-hd.mp4")
        write_camera(camera, 15)
        write_full_hd(full_hd)
        for name, (title, unit, measure) in measured(camera, full_hd).items():
            if name not in options.only:
                continue
            of_before, of_now = [], []
            for _ in range(1 if name in ("installed", "cameras") else options.rounds):
                of_before.append(measure(before))
                of_now.append(measure(now))
            ratio = measures.median_ratio(of_before, of_now)
            a, b = (f"{statistics.median(values):.3g} {unit}" for values in (of_before, of_now))
            rows.append(f"| {title} | {a} | {b} | {ratio:.2f} |")
            console.print(rows[-1], markup=False, soft_wrap=True)
    if options.markdown is not None:
        page = options.markdown.read_text(encoding="utf-8")
        options.markdown.write_text(filled(page, {"light": "\n".join(rows)}), encoding="utf-8")


def measured(camera: Path, full_hd: Path) -> dict[str, tuple[str, str, Measure]]:
    """The measures by name: what each is called in the table, its unit, and what measures it."""
    return {
        "installed": ("installed, to run and view", "MB", measures.installed_mb),
        "memory": ("memory of one camera, all processes", "MB", measures.memory_mb),
        "start": ("command to first result, a camera (its first window takes 2.1 s)", "s", measures.first_result_s),
        "start-fast": (
            "command to first result, a file as fast as possible",
            "s",
            lambda version: measures.first_result_s(version, "--as-fast-as-possible"),
        ),
        "frame": ("a frame of a stream, one camera", "ms", lambda v: measures.frame_ms(v, 1, seconds=6)),
        "frames-of-eight": (
            "a frame of a stream, of eight cameras",
            "ms",
            lambda v: measures.frame_ms(v, 8, seconds=8),
        ),
        "full-hd": (
            "processor of one 1080p camera at 30 frames/s, results only",
            "cores",
            lambda v: measures.cpu_share(v, full_hd, seconds=18),
        ),
        "cameras": (
            "cameras at 15 frames/s without loss",
            "",
            lambda v: measures.sustained_cameras(v, camera, seconds=10),
        ),
    }


def write_full_hd(path: Path) -> None:
    """Write ten seconds of the sample as a 1080p camera of 30 frames a second films it: H.264 at 6 Mbit/s."""
    frames = (frame for _ in range(9) for frame in _sample())
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height = FULL_HD
        stream.pix_fmt, stream.bit_rate = "yuv420p", 6_000_000
        for i, frame in enumerate(frames):
            if i == 300:
                break
            scaled = frame.reformat(*FULL_HD, format="yuv420p")
            scaled.pts, scaled.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(scaled))
        container.mux(stream.encode(None))


def _sample() -> list[av.VideoFrame]:
    with av.open(str(ROOT / "streamcam/data/sample.mp4")) as container:
        return list(container.decode(video=0))


if __name__ == "__main__":
    main()
