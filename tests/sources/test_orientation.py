"""The eight ways in which a picture can lie, of files, of Motion JPEG and of H.264's own messages, on host and GPU."""

import io
import itertools
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from av.bitstream import BitStreamFilterContext
from av.video.frame import VideoFrame

from streamcam.records import Frame, Image
from streamcam.sources.base import open_source
from streamcam.sources.pixels.orientation import UPRIGHT, Orientation, orientation_of, upright
from tests.support.decoders import FIXED_POINT_ONE as ONE
from tests.support.decoders import CpuDecoder

EIGHT = [
    *itertools.product((ONE, -ONE), (0,), (0,), (ONE, -ONE)),
    *itertools.product((0,), (ONE, -ONE), (ONE, -ONE), (0,)),
]
"""a, b, c, d of display matrices: ISO/IEC 14496-12, 8.3.2, in FFmpeg's order. (−1, 0, 0, 1) is a front camera's."""
CORNERS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40)]


def a_picture(height: int = 64, width: int = 96) -> Image:
    """Four quarters of four colours."""
    picture = np.zeros((height, width, 3), np.uint8)
    for at, colour in zip(itertools.product((0, height // 2), (0, width // 2)), CORNERS, strict=True):
        picture[at[0] : at[0] + height // 2, at[1] : at[1] + width // 2] = colour
    return picture


def moved(picture: Image, a: int, b: int, c: int, d: int) -> Image:
    """Each pixel at (x, y) goes to (a·x + c·y, b·x + d·y), as the standard has it, and all is shifted to begin at 0."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    to_x, to_y = (a * x + c * y) // ONE, (b * x + d * y) // ONE
    to_x, to_y = to_x - to_x.min(), to_y - to_y.min()
    out = np.zeros((to_y.max() + 1, to_x.max() + 1, 3), np.uint8)
    out[to_y, to_x] = picture
    return out


def apart(got: Image, expected: Image) -> float:
    assert got.shape == expected.shape
    return float(np.abs(got.astype(int) - expected).mean())


def write(path: Path, **display: Any) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        if "matrix" in display:
            stream.set_display_matrix(display["matrix"])
        for i in range(2):
            frame = VideoFrame.from_ndarray(a_picture())
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read(path: Path, decoder: Any = None) -> list[Frame]:
    with closing(open_source(str(path), paced=False, decoder=decoder)) as source:
        return list(source.frames(Event()))


@pytest.mark.parametrize("decoder", [None, CpuDecoder()], ids=["host", "gpu"])
@pytest.mark.parametrize("kind", ["mp4", "mov"])
@pytest.mark.parametrize("abcd", EIGHT)
def test_a_file_is_shown_as_its_matrix_says(
    tmp_path: Path, abcd: tuple[int, int, int, int], kind: str, decoder: Any
) -> None:
    a, b, c, d = abcd
    shift = (
        ((96 if a < 0 else 0) + (64 if c < 0 else 0)) * ONE,
        ((64 if d < 0 else 0) + (96 if b < 0 else 0)) * ONE,
    )
    path = write(tmp_path / f"a.{kind}", matrix=(a, b, 0, c, d, 0, *shift, 1 << 30))
    frames = read(path, decoder)
    assert len(frames) == 2
    assert apart(frames[0].pixels, moved(a_picture(), *abcd)) < 6


@pytest.mark.parametrize("kind", ["mjpeg", "avi", "mkv"])
def test_motion_jpeg_is_shown_as_its_exif_says(tmp_path: Path, kind: str) -> None:
    """Each picture for itself, as Pillow has it, whose `exif_transpose` is the second decoder here."""
    jpegs = []
    for orientation in range(1, 9):
        picture, file = PIL.Image.fromarray(a_picture()), io.BytesIO()
        exif = picture.getexif()
        exif[0x112] = orientation
        picture.save(file, "JPEG", exif=exif.tobytes(), quality=95)
        jpegs.append(file.getvalue())
    path = tmp_path / f"a.{kind}"
    if kind == "mjpeg":
        path.write_bytes(b"".join(jpegs))
    else:
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("mjpeg", rate=10)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
            for i, jpeg in enumerate(jpegs):
                packet = av.Packet(jpeg)
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, Fraction(1, 10)
                container.mux(packet)
    frames = read(path)
    assert len(frames) == 8
    for frame, jpeg in zip(frames, jpegs, strict=True):
        by_pillow = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(jpeg))).convert("RGB"))
        assert apart(frame.pixels, by_pillow) < 3


@pytest.mark.parametrize(
    ("message", "abcd"),
    [
        ("flip=horizontal", (-ONE, 0, 0, ONE)),
        ("flip=vertical", (ONE, 0, 0, -ONE)),
    ],
)
def test_h264_is_shown_as_its_own_message_says(tmp_path: Path, message: str, abcd: tuple[int, int, int, int]) -> None:
    """ITU-T H.264, D.2.27: display orientation, which a camera may send along without any container."""
    upright_path, path = write(tmp_path / "a.mp4"), tmp_path / "b.mkv"
    with av.open(str(upright_path)) as container, av.open(str(path), "w") as out:
        of = container.streams.video[0]
        stream = out.add_stream_from_template(of)
        tell = BitStreamFilterContext(f"h264_metadata=display_orientation=insert:{message}", of)
        for packet in container.demux(of):
            for told in tell.filter(packet if packet.size else None):
                told.stream = stream
                out.mux(told)
    (first, *_) = read(path)
    assert apart(first.pixels, moved(a_picture(), *abcd)) < 6


@pytest.mark.parametrize("abcd", EIGHT)
def test_each_of_the_eight_is_told_apart(abcd: tuple[int, int, int, int]) -> None:
    a, b, c, d = abcd
    picture = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    turned = upright(picture, orientation_of((a, b, 0, c, d, 0, 0, 0, 1 << 30)))
    assert np.array_equal(turned, moved(picture, *abcd))
    assert turned.flags.c_contiguous


def test_a_matrix_that_turns_by_a_little_or_says_nothing_turns_nothing() -> None:
    assert orientation_of((ONE, 900, 0, -900, ONE, 0, 0, 0, 1 << 30)) == UPRIGHT
    assert orientation_of((2 * ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30)) == UPRIGHT
    assert orientation_of((0,) * 9) == UPRIGHT
    assert orientation_of((900, ONE, 0, -ONE, 900, 0, 0, 0, 1 << 30)) == Orientation(True, False, True)
