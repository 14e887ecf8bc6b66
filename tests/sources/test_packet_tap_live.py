"""Rings of cameras, with a real RTSP server."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import av
import pytest

from streamcam.records import Frame
from streamcam.sources.address import parse_address
from streamcam.sources.packet_ring import PacketRing
from streamcam.sources.video import VideoSource
from tests.sources.test_packet_ring import clip
from tests.support.cameras import rtsp_server
from tests.support.mjpeg_server import mjpeg_server
from tests.support.ports import unused_port

pytestmark = pytest.mark.slow


class Watched:
    """A camera that a thread reads."""

    def __init__(self, source: VideoSource, ring: PacketRing) -> None:
        self.ring, self.frames = ring, list[Frame]()
        self._source, self._stop, self._came = source, Event(), Event()

    def run(self) -> None:
        for frame in self._source.frames(self._stop):
            self.frames.append(frame)
            self._came.set()

    def until(self, pts_s: float, *, session: int = 0) -> None:
        """Wait for a moment of a session."""
        for _ in range(3000):
            if self.frames and (self.frames[-1].session, self.frames[-1].pts_s) >= (session, pts_s):
                return
            assert self._came.wait(20), "no frame has come"
            self._came.clear()
        pytest.fail("it does not go on")

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def watched(uri: str) -> Iterator[Watched]:
    ring = PacketRing(max_bytes=16_000_000, max_s=100)
    source = VideoSource(parse_address(uri), ring=ring)
    with closing(source):
        camera = Watched(source, ring)
        thread = Thread(target=camera.run)
        thread.start()
        try:
            yield camera
        finally:
            camera.stop()
            thread.join()


def times_of(path: Path, kind: str) -> list[float]:
    with av.open(str(path)) as container:
        frames = container.decode(video=0) if kind == "video" else container.decode(audio=0)
        return [float(frame.time or 0) for frame in frames]


@pytest.mark.parametrize(
    "options", [(), ("--codec", "h264-b"), ("--codec", "hevc"), ("--sound", "opus"), ("--sound", "pcma")], ids=str
)
def test_a_clip_of_a_camera_plays_with_the_times_of_its_frames(options: tuple[str, ...], tmp_path: Path) -> None:
    port = unused_port()
    with rtsp_server(port, *options), watched(f"rtsp://127.0.0.1:{port}/live") as camera:
        camera.until(3.2)
    assert camera.ring.since(0, 0)[0].pts_s == pytest.approx(0, abs=0.5)
    begin_s = clip(camera.ring, tmp_path / "out.mp4", begin_s=2.1)
    assert 1.0 <= begin_s <= 2.1
    found = times_of(tmp_path / "out.mp4", "video")
    expected = [frame.pts_s - begin_s for frame in camera.frames if frame.pts_s > begin_s - 1e-3]
    count = min(len(found), len(expected))
    assert count >= 30
    assert found[:count] == pytest.approx(expected[:count], abs=2e-3)
    if "--sound" in options:
        sound = times_of(tmp_path / "out.mp4", "audio")
        assert sound[0] == pytest.approx(0, abs=0.2)
        assert sound[-1] == pytest.approx(found[-1], abs=0.5)


def test_a_picture_of_another_size_begins_a_ring_of_its_own(tmp_path: Path) -> None:
    port = unused_port()
    with rtsp_server(port) as server, watched(f"rtsp://127.0.0.1:{port}/live") as camera:
        camera.until(1.5)
        assert server.stdin is not None
        server.stdin.write("640x480@30\n")
        server.stdin.flush()
        camera.until(1.5, session=1)
    for session, size in ((0, (320, 240)), (1, (640, 480))):
        clip(camera.ring, tmp_path / "out.mp4", session=session)
        with av.open(str(tmp_path / "out.mp4")) as container:
            codec = container.streams.video[0].codec_context
            assert (codec.width, codec.height) == size
            assert {(f.width, f.height) for f in container.decode(video=0)} == {size}


def test_pictures_over_http_are_encoded_with_their_times(tmp_path: Path) -> None:
    with mjpeg_server() as host, watched(f"http://{host}/video") as camera:
        camera.until(2.2)
    begin_s = clip(camera.ring, tmp_path / "out.mp4", begin_s=1.5)
    assert 0.4 < begin_s <= 1.5
    found = times_of(tmp_path / "out.mp4", "video")
    expected = [frame.pts_s - begin_s for frame in camera.frames if frame.pts_s > begin_s - 1e-3]
    count = min(len(found), len(expected))
    assert count >= 10
    assert found[:count] == pytest.approx(expected[:count], abs=2e-3)
