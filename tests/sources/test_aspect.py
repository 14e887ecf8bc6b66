"""Pixels that are not square: pictures are given square ones when they are read, and so are right wherever they go."""

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from streamcam.gpu.image import TorchImage
from streamcam.records import Frame, Image, Result, on_host
from streamcam.sinks.video_file import VideoRecorder
from streamcam.sources.base import open_source
from tests.support.commands import streamcam
from tests.support.decoders import FIXED_POINT_ONE as ONE
from tests.support.decoders import CpuDecoder


def a_square(size: tuple[int, int], aspect: Fraction) -> Image:
    """What is a white square of half the height where pixels are as wide as `aspect` says, on black."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    half, across = height // 4, round(height / 4 / aspect)
    picture[height // 2 - half : height // 2 + half, width // 2 - across : width // 2 + across] = 255
    return picture


def write(path: Path, size: tuple[int, int], aspect: Fraction | int, **display: Any) -> Path:
    codec = {"mpg": "mpeg2video", "vob": "mpeg2video", "avi": "mpeg4"}.get(path.suffix[1:], "libx264")
    with av.open(str(path), "w", format={"mpg": "mpeg"}.get(path.suffix[1:])) as container:
        stream: Any = container.add_stream(codec, rate=25)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        if display:
            stream.set_display_matrix(display["matrix"])
        for i in range(3):
            frame = VideoFrame.from_ndarray(a_square(size, Fraction(aspect)))
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(path: Path, decoder: Any = None) -> list[Frame]:
    with closing(open_source(str(path), paced=False, decoder=decoder)) as source:
        return list(source.frames(Event()))


def sides(image: Image) -> tuple[int, int]:
    """Width and height of what is white."""
    white = image.mean(2) > 128
    return int(white.any(0).sum()), int(white.any(1).sum())


@pytest.mark.parametrize("decoder", [None, CpuDecoder()], ids=["host", "gpu"])
@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((720, 576), Fraction(16, 15), (768, 576)),  # PAL 4:3
        ((720, 576), Fraction(64, 45), (1024, 576)),  # PAL 16:9
        ((720, 480), Fraction(8, 9), (720, 540)),  # NTSC 4:3
        ((704, 288), Fraction(12, 22), (704, 528)),  # a DVR that records one field
        ((480, 544), Fraction(2, 1), (960, 544)),
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),  # HDV
    ],
    ids=str,
)
def test_pixels_are_made_square(
    tmp_path: Path, size: tuple[int, int], aspect: Fraction, shown: tuple[int, int], decoder: Any
) -> None:
    """By mpv's rule, too: the side that is too short grows."""
    frames = read(write(tmp_path / "a.mkv", size, aspect), decoder)
    assert len(frames) == 3
    assert isinstance(frames[0].image, TorchImage if decoder else np.ndarray)
    assert frames[0].picture.shape == (shown[1], shown[0], 3)
    width, height = sides(on_host(frames[0].picture))
    assert width == pytest.approx(height, abs=8)


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "ts", "avi", "mpg", "nut", "flv", "h264"])
def test_every_container_says_it(tmp_path: Path, kind: str) -> None:
    frames = read(write(tmp_path / f"a.{kind}", (352, 288), Fraction(12, 11)))
    width, height = frames[0].picture.shape[1::-1]
    assert (width, height) == pytest.approx((384, 288), abs=1)


@pytest.mark.parametrize("decoder", [None, CpuDecoder()], ids=["host", "gpu"])
def test_a_turned_picture_grows_the_other_way(tmp_path: Path, decoder: Any) -> None:
    matrix = (0, ONE, 0, -ONE, 0, 0, 288 * ONE, 0, 1 << 30)
    frames = read(write(tmp_path / "a.mp4", (176, 144), Fraction(2), matrix=matrix), decoder)
    assert frames[0].picture.shape == (352, 144, 3)


@pytest.mark.parametrize("aspect", [Fraction(1, 5), Fraction(6, 1)])
def test_what_cannot_be_true_is_said_once_and_passed_over(tmp_path: Path, aspect: Fraction) -> None:
    path = write(tmp_path / "a.mkv", (96, 64), aspect)
    assert [frame.picture.shape for frame in read(path)] == [(64, 96, 3)] * 3
    done = streamcam("run", str(path), "--model", "imagenet-fast", "--bind", "none", "--as-fast-as-possible")
    told = f"a: its pixels are taken for square: it says that they are {aspect.numerator}:{aspect.denominator}"
    assert [line for line in done.stderr.splitlines() if "pixels" in line] == [told]


def test_a_stream_may_change_it_on_the_way(tmp_path: Path) -> None:
    """As television does, between 4:3 and 16:9; what is being decoded at that moment goes by the new one."""
    path = tmp_path / "a.ts"
    parts = [
        write(tmp_path / f"{i}.ts", (352, 288), aspect) for i, aspect in enumerate((Fraction(12, 11), Fraction(16, 11)))
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    shapes = [frame.picture.shape[1] for frame in read(path)]
    assert (shapes[0], shapes[-3:]) == (384, [512] * 3)
    assert set(shapes) == {384, 512}


def test_a_recording_of_it_is_not_squeezed(tmp_path: Path) -> None:
    """A player shows its square as a square, by the picture's sides and what the file says of its pixels."""
    path = tmp_path / "out.mp4"
    with VideoRecorder(path, "a", lambda result: result.frame.pixels) as recorder:
        for frame in read(write(tmp_path / "a.mkv", (720, 576), Fraction(64, 45))):
            recorder.on_frame(Result(frame))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio is not None
        assert Fraction(stream.width, stream.height) * stream.sample_aspect_ratio == Fraction(16, 9)
        width, height = sides(np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8))
    assert width == pytest.approx(height, abs=4)
