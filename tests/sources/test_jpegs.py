"""JPEG over HTTP, in the many ways in which cameras write it, from a real server."""

import io
import itertools
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler
from threading import Event, Thread

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from streamcam.errors import StreamcamError
from streamcam.records import Frame
from streamcam.sources.base import open_source
from streamcam.sources.jpeg_splitter import MAX_BYTES, Splitter
from streamcam.sources.jpegs import POLL_S
from streamcam.sources.status import SourceStatus
from tests.support.cameras import camera, in_order, stop_after
from tests.support.mjpeg_server import HEIGHT, WIDTH, Form, mjpeg_server, picture
from tests.support.publish_demo import eventually
from tests.support.serving import Quiet, serving
from tests.support.snapshot_server import snapshot_server

COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40), (40, 200, 200), (200, 40, 200)]
MULTIPART = "multipart/x-mixed-replace; boundary="

FORMS = {
    "as FFmpeg expects it": Form(),
    "typed image/jpg": Form(part_type="image/jpg"),
    "typed image/pjpeg": Form(part_type="image/pjpeg"),
    "type with charset": Form(part_type="image/jpeg; charset=utf-8"),
    "type in capitals": Form(part_type="IMAGE/JPEG"),
    "no type": Form(part_type=None),
    "boundary in quotes": Form(content_type=f'{MULTIPART}"picture"'),
    "boundary told with its dashes": Form(content_type=f"{MULTIPART}--picture"),
    "boundary with more dashes": Form(content_type=f"{MULTIPART}--picture", boundary=b"----picture"),
    "boundary without dashes": Form(boundary=b"picture"),
    "another boundary than told": Form(boundary=b"--other"),
    "no boundary told": Form(content_type="multipart/x-mixed-replace"),
    "no first boundary": Form(begins=False),
    "no first boundary, no head": Form(begins=False, part_type=None, length=False),
    "no length": Form(length=False),
    "blank lines between": Form(after=b"\r\n\r\n\r\n"),
    "blank lines first": Form(before=b"\r\n\r\n"),
    "a text first": Form(before=b"This is a message of many parts.\r\n\r\n"),
    "lines end in LF": Form(eol=b"\n"),
    "own heads": Form(others=("X-Timestamp: 12.5", "x-odd")),
    "multipart/mixed": Form(content_type="multipart/mixed; boundary=picture"),
    "in capitals": Form(content_type="Multipart/X-Mixed-Replace;Boundary=picture"),
    "all typed image/jpeg": Form(content_type="image/jpeg"),
    "all untyped": Form(content_type=None),
    "nothing but pictures": Form(content_type="video/x-motion-jpeg", heads=False),
}


def coloured(index: int) -> bytes:
    """A JPEG of two colours that tell which one it is."""
    image = np.full((HEIGHT, WIDTH, 3), COLOURS[index % len(COLOURS)], np.uint8)
    image[: HEIGHT // 2] = COLOURS[(index + 2) % len(COLOURS)]
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def decoded(jpeg: bytes) -> np.ndarray:
    """By libjpeg, which is not what decodes them in a source."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def read(uri: str, count: int) -> list[Frame]:
    with stop_after(10) as stop, closing(camera(uri, retry_s=60)) as source:
        return list(itertools.islice(source.frames(stop), count))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_pictures_come_one_by_one_and_in_their_colours_however_they_are_written(form: Form) -> None:
    with mjpeg_server(form=form, paint=coloured, fps=50, frames=6) as host:  # it stalls: none waits for the next
        frames = read(f"http://{host}/video", 6)
    assert [f.session for f in frames] == [0] * 6
    assert in_order(frames)
    for i, frame in enumerate(frames):
        assert np.abs(frame.pixels.astype(int) - decoded(coloured(i))).mean() < 2


def test_times_are_those_of_arrival() -> None:
    with mjpeg_server(form=Form(length=False), fps=10) as host:
        frames = read(f"http://{host}/video", 12)
    times_s = np.array([frame.pts_s for frame in frames])
    captured_s = np.array([frame.captured_ns - frames[0].captured_ns for frame in frames]) / 1e9
    assert np.median(np.abs(captured_s - times_s)) < 0.02
    assert times_s[-1] > 0.8  # eleven waits of 0.1 s, at least


def test_a_broken_picture_is_counted_and_the_others_are_not_lost() -> None:
    def paint(index: int) -> bytes:
        return coloured(index)[:600] if index in (2, 3) else coloured(index)

    with (
        mjpeg_server(form=Form(length=False), paint=paint, fps=50) as host,
        stop_after(10) as stop,
        closing(camera(f"http://{host}/video", retry_s=60)) as source,
    ):
        frames = list(itertools.islice(source.frames(stop), 8))
    assert source.drops["corrupt"] == 2
    for frame, index in zip(frames, (0, 1, 4, 5, 6, 7, 8, 9), strict=True):
        assert np.abs(frame.pixels.astype(int) - decoded(coloured(index))).mean() < 2


@pytest.mark.parametrize("sent", [b"--b\r\n\r\n" + picture(0), b"X-Head: 1\r\n" * 200], ids=["pictures", "heads"])
def test_a_trickle_is_lost_and_a_stop_is_obeyed_meanwhile(sent: bytes) -> None:
    class Trickling(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):
                for byte in sent:
                    self.wfile.write(bytes((byte,)))
                    time.sleep(0.01)

    with serving(Trickling) as host, closing(camera(f"http://{host}/video", retry_s=60)) as source:
        stop, begin_s = Event(), time.monotonic()
        thread = Thread(target=lambda: list(source.frames(stop)))
        thread.start()
        while source.status.kind != "lost" and time.monotonic() - begin_s < 20:
            time.sleep(0.01)
        assert source.status.kind == "lost"
        stop.set()
        thread.join(5)
        assert not thread.is_alive()


def with_thumbnail() -> bytes:
    """A JPEG with another one in its head, as phones and cameras write them (Exif, APP1)."""
    jpeg, small = coloured(0), cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    exif = b"Exif\0\0" + small
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


def progressive() -> bytes:
    """Of several scans."""
    written = io.BytesIO()
    Image.fromarray(decoded(coloured(0))).save(written, "jpeg", progressive=True)
    return written.getvalue()


def with_restarts() -> bytes:
    """With restart markers between its stripes, and noise, in which every byte occurs."""
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    return cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_RST_INTERVAL, 1, cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()


PICTURES = [picture(1), with_thumbnail(), progressive(), with_restarts(), picture(2)]


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=40))
@settings(deadline=None, max_examples=50)
def test_pictures_are_whole_however_their_bytes_come(sizes: list[int]) -> None:
    between = [b"--b\r\nContent-Type: image/jpeg\r\n\r\n", b"\r\n--b\r\n\r\n", b"", b"\r\n\0\xff\xd8\r\n", b"\r\n"]
    sent, found, splitter, at = b"".join(map(bytes.__add__, between, PICTURES)), list[bytes](), Splitter(), 0
    for size in itertools.cycle(sizes):
        found += splitter.push(sent[at : at + size])
        at += size
        if at >= len(sent):
            break
    assert found == PICTURES


@given(st.binary(max_size=3000), st.integers(1, 700))
@settings(deadline=None, max_examples=50)
def test_noise_between_pictures_costs_one_of_them_at_most(noise: bytes, size: int) -> None:
    sent, splitter, found = noise + picture(1) + b"\r\n" + picture(2) + picture(3), Splitter(), list[bytes]()
    for at in range(0, len(sent), size):
        found += splitter.push(sent[at : at + size])
    if b"\xff\xd8\xff" not in noise:
        assert found[-3:] == [picture(1), picture(2), picture(3)]


def test_a_picture_without_end_takes_no_memory_without_end() -> None:
    splitter, begin = Splitter(), picture(1)[:-2]
    broken = [*splitter.push(begin)]
    for _ in range(MAX_BYTES // (1 << 20) + 1):
        broken += splitter.push(bytes(1 << 20))
    assert broken == [b"\xff\xd8"]
    assert list(splitter.push(picture(2))) == [picture(2)]


def test_a_stream_that_is_cut_after_its_first_picture_is_no_snapshot_for_good() -> None:
    """It is asked again at once, in the same session, and its next answer is read to its end."""
    asked: list[int] = []

    class Camera(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(1)
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):
                for index in range(1 if len(asked) == 1 else 30):
                    self.wfile.write(Form().part(index, picture(index)))
                    time.sleep(0.02)

    with serving(Camera) as host:
        frames = read(f"http://{host}/video", 20)
    assert [f.session for f in frames] == [0] * 20
    assert len(asked) == 2


@pytest.mark.parametrize("length", [True, False])
def test_a_snapshot_is_asked_for_again_and_again_in_one_session(length: bool) -> None:
    with snapshot_server(length=length) as server:
        frames = read(f"http://{server.host}/snapshot.jpg", 8)
        asked_s = server.asked_s
    assert [f.session for f in frames] == [0] * 8
    assert in_order(frames)
    assert asked_s[-1] - asked_s[1] > 0.8 * (len(asked_s) - 2) * POLL_S - 0.1  # the first is to find out what it is
    last = decoded(picture(len(asked_s) - 1))
    assert np.abs(frames[-1].pixels.astype(int) - last).mean() < 2


def test_a_snapshot_with_another_picture_behind_it_is_one() -> None:
    """As phones do it: a map of brightness follows, as a JPEG of its own."""
    small = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    with snapshot_server(tail=small) as server:
        frames = read(f"http://{server.host}/snapshot.jpg", 4)
    assert {f.pixels.shape for f in frames} == {(HEIGHT, WIDTH, 3)}
    assert {f.session for f in frames} == {0}


def test_a_camera_that_is_busy_for_a_moment_stays_in_its_session() -> None:
    with snapshot_server(busy={4}) as server:
        frames = read(f"http://{server.host}/snapshot.jpg", 6)
    assert [f.session for f in frames] == [0] * 6


def test_a_snapshot_that_is_gone_is_lost_with_the_reason_and_found_again() -> None:
    frames: list[Frame] = []
    with (
        snapshot_server() as server,
        stop_after(20) as stop,
        closing(camera(f"http://{server.host}/snapshot.jpg", retry_s=0.2)) as source,
    ):
        thread = Thread(target=lambda: frames.extend(f for f in source.frames(stop)))
        thread.start()
        eventually(lambda: source.status.kind == "live", "the first picture comes")
        server.gone = True
        eventually(lambda: source.status.kind == "lost", "the pictures are gone")
        assert "no such" in (source.status.reason or "")
        server.gone = False
        while source.status != SourceStatus("live", session=1):
            time.sleep(0.01)
        stop.set()
        thread.join()
    assert in_order(frames)


def test_a_snapshot_takes_a_digest_login_and_never_shows_it() -> None:
    with snapshot_server(login=("warden", "50%off se#same")) as server:
        assert len(read(f"http://warden:50%off%20se%23same@{server.host}/snapshot.jpg", 3)) == 3
        with pytest.raises(StreamcamError, match="wrong or missing user name or password") as e:
            open_source(f"http://warden:open-barley@{server.host}/snapshot.jpg").open()
    assert not any(secret in repr(e.value) for secret in ("warden", "barley"))


PAGE = b"\r\n<!DOCTYPE html>\r\n<html><title>Camera</title><img src=video></html>"
PNG = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
WEBP = cv2.imencode(".webp", np.zeros((16, 16, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("sent", "words"), [(PAGE, "but a web page"), (PNG, "but a picture that is no JPEG"), (WEBP, "but a picture")]
)
def test_what_is_no_video_is_said_to_be_what_it_is(sent: bytes, words: str) -> None:
    class Camera(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(sent)

    with serving(Camera) as host, pytest.raises(StreamcamError, match=f"not a video, {words}"):
        open_source(f"http://{host}/").open()
