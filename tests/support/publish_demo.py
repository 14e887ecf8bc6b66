"""Publishes made-up results, pictures, status and directory, as `streamcam run` would, without a network.

python -m tests.support.publish_demo ENDPOINT [--seconds 60] [--fps 20] [--sources demo] [--cells 7] [--results N]
    [--keys DIR]

It says on standard output where it is bound, and whenever somebody comes to want pictures, or no longer does.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamcam.records import Frame, Heat, Image, Result, Transform
from streamcam.transport.publisher import Publisher
from tests.support.paths import ROOT

WIDTH, HEIGHT = 640, 480
COLOURS = [(40, 90, 160), (160, 90, 40), (40, 160, 90), (120, 120, 40)]
FRAMES_PER_COLOUR = 10
LABELS = ("teapot", "Häuschen", "kettle")
CLASSES = (2, 0, 3)
HOT_CELLS = ((0.5, 0.5), (0.5, 0.79), (0.79, 0.5))
"""Where each class is hot: (x, y) as fractions of the picture."""
PEAK = 8.0


def colour_of(index: int) -> tuple[int, int, int]:
    return COLOURS[index // FRAMES_PER_COLOUR % len(COLOURS)]


def image_of(index: int) -> Image:
    return np.full((HEIGHT, WIDTH, 3), colour_of(index), np.uint8)


def heat_of(index: int, *, cells: int = 7) -> Heat:
    """Each class is hot in one cell; the common map tells one window from the next."""
    common = np.full((2, cells, cells), (index % 64) / 8, np.float32)
    cube = np.repeat(common[None], len(CLASSES), axis=0)
    for k, (x, y) in enumerate(HOT_CELLS):
        cube[k, :, int(y * cells), int(x * cells)] += PEAK
    return Heat(
        cube=cube,
        common=common,
        classes=np.array(CLASSES),
        labels=LABELS,
        scores=np.array([0.8, 0.15, 0.04], np.float32),
        logits=np.array([1.0, -2.0, 3.0 + index, 0.1], np.float32),
        scale=np.full(len(CLASSES), PEAK, np.float32),
        pts_s=np.array([index / 20 - 0.1, index / 20]),
        clip_pts_s=(index / 20 - 0.2, index / 20),
        transform=Transform(),
        model="demo",
        model_hash="0123",
    )


def result_of(index: int, *, source: str = "demo", cells: int = 7) -> Result:
    frame = Frame(image_of(index), index, index / 20, time.time_ns(), source)
    return Result(frame, heat_of(index, cells=cells), {"infer": 1.5}, {"decode": index})


def picture_of(result: Result) -> Image:
    return result.frame.pixels


def publish(publisher: Publisher, index: int, *, source: str, cells: int) -> None:
    result = result_of(index, source=source, cells=cells)
    publisher.send_result(result)
    publisher.offer_picture("frame", result, picture_of)
    publisher.offer_picture("overlay", result, picture_of)
    publisher.send_status(source, {"state": "live", "frames": index})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--fps", type=float, default=20)
    parser.add_argument("--sources", nargs="+", default=["demo"])
    parser.add_argument("--cells", type=int, default=7, help="the heat's height and width")
    parser.add_argument("--keys", type=Path, help="the folder of keys")
    parser.add_argument("--results", type=int, default=sys.maxsize, help="after so many, only serve late joiners")
    options = parser.parse_args()
    end_s, wanted = time.monotonic() + options.seconds, False
    with Publisher(options.endpoint, keys=options.keys) as publisher:
        print(f"bound {publisher.endpoint}", flush=True)
        index = 0
        while time.monotonic() < end_s:
            publisher.serve()
            if index < options.results:
                publisher.send_directory(options.sources)
                for source in options.sources:
                    publish(publisher, index, source=source, cells=options.cells)
                index += 1
            if publisher.wants(options.sources[0], "frame") != wanted:
                wanted = not wanted
                print(f"frames {'wanted' if wanted else 'unwanted'}", flush=True)
            time.sleep(1 / options.fps)


@dataclass
class Demo:
    """This script, running in a process of its own."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    """What it has said so far."""

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def endpoint(self) -> str:
        eventually(lambda: self.lines or self.process.poll() is not None, "the publisher is bound", seconds=20)
        assert self.lines, f"the publisher ended with code {self.process.poll()}"
        return self.lines[0].split()[1]


@contextmanager
def publishing(endpoint: str, *options: str, within: Sequence[str] = ()) -> Iterator[Demo]:
    """Run this script, also within what another command sets up; stop it at the end."""
    command = [*within, sys.executable, "-m", "tests.support.publish_demo", endpoint, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        demo = Demo(process)
        listener = threading.Thread(target=demo.listen)
        listener.start()
        try:
            assert demo.endpoint
            yield demo
        finally:
            process.kill()
            listener.join()


def eventually(condition: Callable[[], object], what: str, *, seconds: float = 10.0) -> None:
    """Wait until a condition holds."""
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
