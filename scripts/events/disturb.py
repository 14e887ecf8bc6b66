"""Render a disturbance over real footage, in bursts of 2 to 6 s with pauses.

    python -m scripts.events.disturb VIDEO light|shake|rain|none -o OUT.mp4 [--seed 1] [--backwards]

- `light`: a lamp is switched in steps, or flickers at 2 to 9 Hz, by 0.3 to 1.5 times the light.
- `shake`: the camera sways by 3 px to 2 % of the width, at 0.3 to 3 Hz. The edges are cut off throughout.
- `rain`: streaks of drops, with motion blur.
- `none`: the footage as it is. With `--backwards` it is played from its end, so that who walks away approaches.

Bursts come when they come: some where something happens, some where nothing does. The same seed gives the same frames.
Beside OUT.mp4, OUT.json says when the bursts were, and which part of the picture is left.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np

from scripts.events.weather import KINDS, Burst, bursts, kept, shifted
from streamcam.errors import StreamcamError
from streamcam.files import write_json
from streamcam.records import Image

MOST_FRAMES = 4000
"""To be played backwards, a file is read whole."""


def read(path: Path, *, seconds: float | None = None) -> tuple[list[Image], Fraction]:
    """Read a video: its frames, RGB, and its frames a second."""
    try:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            fps = stream.average_rate or Fraction(25)
            most = MOST_FRAMES if seconds is None else min(MOST_FRAMES, round(seconds * fps))
            frames = []
            for frame in file.decode(stream):
                frames.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                if len(frames) == most:
                    break
    except (OSError, IndexError, av.error.FFmpegError) as e:
        raise StreamcamError(f"cannot read {path}: expected a video") from e
    return frames, Fraction(fps)


def disturbed(frames: Sequence[Image], fps: Fraction, kind: str, found: Sequence[Burst]) -> Iterator[Image]:
    """Give the frames, those within a burst disturbed."""
    makers = [(burst, KINDS[kind](burst.seed)) for burst in found]
    for i, image in enumerate(frames):
        at_s = float(i / fps)
        now = next(((b, disturb) for b, disturb in makers if b.start_s <= at_s < b.end_s), None)
        if now is not None:
            burst, disturb = now
            yield disturb(image, at_s - burst.start_s, burst.end_s - burst.start_s)
        else:
            yield shifted(image) if kind == "shake" else image


def write(path: Path, frames: Iterator[Image], fps: Fraction) -> None:
    """Encode frames as H.264, without visible loss."""
    with av.open(str(path), "w") as file:
        stream = None
        for image in frames:
            if stream is None:
                stream = file.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "ultrafast"})
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        if stream is not None:
            file.mux(stream.encode(None))


def render(
    video: Path, kind: str, out: Path, *, seed: int = 1, backwards: bool = False, seconds: float | None = None
) -> None:
    """Write a disturbed video, and beside it the JSON.

    Args:
        video: real footage.
        kind: one of `KINDS`, or none.
        out: an .mp4.
        seed: of bursts and of what happens in them.
        backwards: begin at the end.
        seconds: take so many from the beginning.
    """
    frames, fps = read(video, seconds=seconds)
    if not frames:
        raise StreamcamError(f"{video} has no frame")
    frames = frames[::-1] if backwards else frames
    found = bursts(float(len(frames) / fps), seed=seed) if kind != "none" else []
    write(out, disturbed(frames, fps, kind, found) if found else iter(frames), fps)
    height, width = frames[0].shape[:2]
    part = kept(width, height) if kind == "shake" else (0.0, 0.0, 1.0, 1.0)
    about = {"of": video.name, "kind": kind, "seed": seed, "backwards": backwards, "fps": float(fps)}
    write_json(out.with_suffix(".json"), {**about, "kept": part, "bursts": [asdict(burst) for burst in found]})


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("kind", choices=[*KINDS, "none"])
    parser.add_argument("-o", "--out", type=Path, required=True, help="an .mp4")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backwards", action="store_true", help="play it from its end")
    parser.add_argument("--seconds", type=float, help="take so many from its beginning")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        if options.out.suffix != ".mp4":
            raise StreamcamError(f"{options.out}: expected a name that ends in .mp4")
        how = {"seed": options.seed, "backwards": options.backwards, "seconds": options.seconds}
        render(options.video, options.kind, options.out, **how)
    except StreamcamError as e:
        print(f"disturb: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
