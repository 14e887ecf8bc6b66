"""Make the sample clip and its truth: a swan swims, a dog runs, a car drives.

    python -m scripts.footage.make_sample DAVIS

DAVIS is a folder with three sequences of DAVIS 2016 (BSD licence; streamcam/data/NOTICE has the credit). Each is a
video with its masks beside it: `swan/blackswan.mp4` and `.npz`, `dog/dog.mp4`, `car/car-roundabout.mp4`.

A part of each picture is cut out. It follows the thing as slowly as a camera on a tripod would. 640×360, 23 fps.

streamcam/data/sample.mp4    the clip
tests/support/sample.npz     where the thing is in each frame, in the format of docs/guides/evaluation.md
"""

import argparse
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from scripts.paths import PACKAGE, TESTS
from streamcam.evaluate.truth import write_truth
from streamcam.records import Image

WIDTH, HEIGHT, FPS = 640, 360, 23
CUT_HEIGHT = {"swan/blackswan": 320, "dog/dog": 360, "car/car-roundabout": 320}
"""The shots in their order, and the height of the part that is cut out, in pixels."""

STEADY_FRAMES = 8
"""Standard deviation, in frames, of the weights by which the part's way is smoothed."""

MASK_SIZE = (160, 90)
"""(width, height) of the truth's masks in pixels."""

Masks = npt.NDArray[np.uint8]


def read(path: Path) -> tuple[list[Image], Masks]:
    """Read a sequence: its pictures, uint8 [H,W,3], RGB, and the thing's masks, uint8 [T,H,W], 0 or 1."""
    with av.open(str(path)) as container:
        pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]
    height, width = pictures[0].shape[:2]
    coarse = np.load(path.with_suffix(".npz"))["masks"].max(0).astype(np.uint8)
    return pictures, np.stack([cv2.resize(m, (width, height), interpolation=cv2.INTER_NEAREST) for m in coarse])


def steady(way: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Smooth positions over time, float64 [T]."""
    reach = 3 * STEADY_FRAMES
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / STEADY_FRAMES) ** 2)
    return np.convolve(np.pad(way, reach, mode="edge"), weights / weights.sum(), "valid")


def middles(masks: Masks) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the middle of the box around each mask, as x and y, float64 [T] each."""
    boxes = [cv2.boundingRect(mask) for mask in masks]
    return np.array([x + w / 2 for x, _, w, _ in boxes]), np.array([y + h / 2 for _, y, _, h in boxes])


def cut(path: Path, height: int) -> tuple[list[Image], Masks]:
    """Cut a part of `height` rows out of each picture and mask of a sequence, and bring it to the clip's size."""
    pictures, masks = read(path)
    width = height * WIDTH // HEIGHT
    rows, columns = pictures[0].shape[:2]
    left, top = (
        np.clip(steady(middle) - size / 2, 0, most - size)
        for middle, size, most in zip(middles(masks), (width, height), (columns, rows), strict=True)
    )
    shown, found = [], []
    for picture, mask, x, y in zip(pictures, masks, left, top, strict=True):
        # Placed to a fraction of a pixel: whole pixels would make the picture shake.
        scale = WIDTH / width
        placed = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
        moved = cv2.warpAffine(picture, placed, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        shown.append(np.asarray(moved, np.uint8))
        placed_mask = cv2.warpAffine(mask, placed, (WIDTH, HEIGHT), flags=cv2.INTER_NEAREST)
        found.append(cv2.resize(placed_mask, MASK_SIZE, interpolation=cv2.INTER_AREA))
    return shown, np.stack(found)


def write_clip(path: Path, pictures: list[Image]) -> None:
    """Encode the clip as H.264 in MP4."""
    options = {"crf": "25", "preset": "veryslow", "g": "46"}
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, FPS)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def main() -> None:
    """Write the clip and its truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("davis", type=Path, help="the folder with the sequences")
    folder = parser.parse_args().davis
    pictures: list[Image] = []
    truth: list[Masks] = []
    for name, height in CUT_HEIGHT.items():
        shown, masks = cut(folder / f"{name}.mp4", height)
        pictures += shown
        truth.append(masks)
    total, names = len(pictures), [Path(name).parent.name for name in CUT_HEIGHT]
    whole = np.zeros((len(truth), total, *MASK_SIZE[::-1]), np.uint8)
    begin = 0
    for thing, masks in zip(whole, truth, strict=True):
        thing[begin : begin + len(masks)] = masks
        begin += len(masks)
    clip = PACKAGE / "data" / "sample.mp4"
    write_clip(clip, pictures)
    write_truth(TESTS / "support" / "sample.mp4", whole, names)
    print(f"{clip}: {clip.stat().st_size / 1e3:.0f} kB, {total} frames, {total / FPS:.2f} s")


if __name__ == "__main__":
    main()
