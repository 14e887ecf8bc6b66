"""Video from people who mean harm."""

import itertools
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event

import av
import cv2
import numpy as np
import pytest

from streamcam.errors import StreamcamError
from streamcam.render.image_files import read_picture
from streamcam.sources.base import open_source
from streamcam.sources.opening import MAX_PIXELS
from tests.support import mjpeg_server as mjpeg
from tests.support.cameras import camera, stop_after
from tests.support.mjpeg_server import mjpeg_server

SIDE = 8200
"""Of a square that is just too large."""


def bomb() -> bytes:
    """A JPEG that any decoder would make 67 MB of: a hundred of that size are on their way in a second."""
    assert SIDE * SIDE > MAX_PIXELS
    return cv2.imencode(".jpg", np.zeros((SIDE, SIDE), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 10])[1].tobytes()


def test_pictures_that_are_too_large_are_passed_over_on_the_way() -> None:
    large = bomb()
    with (
        mjpeg_server(paint=lambda index: large if 5 <= index < 10 else mjpeg.picture(index)) as host,
        stop_after(20) as stop,
        closing(camera(f"http://{host}/video", retry_s=0.1)) as source,
    ):
        frames = list(itertools.islice(source.frames(stop), 15))
    assert source.drops["corrupt"] == 5
    assert {f.pixels.shape for f in frames} == {(mjpeg.HEIGHT, mjpeg.WIDTH, 3)}


def test_a_camera_with_nothing_but_pictures_that_are_too_large_gives_nothing() -> None:
    large = bomb()
    with (
        mjpeg_server(paint=lambda _: large) as host,
        stop_after(2) as stop,
        closing(camera(f"http://{host}/video", retry_s=0.1)) as source,
    ):
        assert list(source.frames(stop)) == []
    assert source.drops["corrupt"] > 5


def test_a_thousand_frames_a_second_are_thinned() -> None:
    with mjpeg_server(fps=1000) as host, stop_after(4) as stop, closing(open_source(f"http://{host}/video")) as source:
        started_s = time.monotonic()
        given = sum(1 for _ in source.frames(stop))
        seconds = time.monotonic() - started_s
    assert given <= 241 + 240 * seconds


@pytest.mark.parametrize("side", [SIDE, 65_500])
def test_a_header_with_pictures_that_are_too_large_is_refused_at_once(tmp_path: Path, side: int) -> None:
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("huffyuv", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv422p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8))))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert struct.pack("<II", 96, 64) in data
    path.write_bytes(data.replace(struct.pack("<II", 96, 64), struct.pack("<II", side, side)))
    started_s = time.monotonic()
    with pytest.raises(StreamcamError) as e:
        list(open_source(str(path), paced=False).frames(Event()))
    assert "cannot decode a single picture" in str(e.value)
    assert "more than 67 million pixels" in str(e.value)
    assert time.monotonic() - started_s < 5


def test_a_real_stream_of_pictures_that_are_too_large_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 8256, 8192, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(8256, 8192, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(StreamcamError, match="its pictures of 8256×8192 are larger than 67 million pixels"):
        open_source(str(path))


@pytest.mark.parametrize("seconds", [1e15, 1e-3, -5.0, float("nan"), float("inf")])
def test_a_file_that_lies_about_its_length_gives_what_it_holds(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for i in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 96, 3), 8 * i, np.uint8))))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # EBML: Duration, eight bytes, in milliseconds
    assert struct.unpack(">d", data[at : at + 8])[0] == pytest.approx(1000, abs=50)
    path.write_bytes(data[:at] + struct.pack(">d", seconds * 1e3) + data[at + 8 :])
    with stop_after(20) as stop, closing(open_source(str(path), paced=False)) as source:
        assert source.duration_s is None or source.duration_s == source.duration_s  # not NaN
        assert [f.index for f in source.frames(stop)] == list(range(30))
    assert not stop.is_set()


def _png_of(width: int, height: int) -> bytes:
    content = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    return content.replace(struct.pack(">II", 8, 8), struct.pack(">II", width, height), 1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: _png_of(20_000, 20_000),
        lambda: cv2.imencode(".png", np.zeros((13_500, 13_500), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 1])[
            1
        ].tobytes(),
        lambda: b"\xff\xd8\xff" + bytes(100),
        lambda: b"",
    ],
    ids=["header", "bomb", "garbage", "empty"],
)
def test_a_picture_that_is_a_bomb_is_not_decoded(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (path := tmp_path / "picture.png").write_bytes(make())
    with pytest.raises(StreamcamError, match=r"over 179 million pixels|not a picture that can be read|it is empty"):
        read_picture(path)
