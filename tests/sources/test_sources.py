import itertools
import re
import signal
import socket
import string
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from threading import Event, Thread, Timer

import av
import numpy as np
import psutil
import pytest
from av.stream import Stream
from hypothesis import given
from hypothesis import strategies as st

from streamcam.errors import StreamcamError, redact
from streamcam.records import Frame
from streamcam.sources.address import KINDS, Address, SourceUri, parse_address
from streamcam.sources.base import open_source
from streamcam.sources.pixels.rgb import RgbConverter
from streamcam.sources.reading import Reader
from streamcam.sources.status import SourceStatus
from streamcam.sources.timing.live_timing import MAX_LATE_S, FrameRateMonitor, LiveTimestamps, RateLimiter
from streamcam.sources.video import VideoSource
from tests.support import mjpeg_server as mjpeg
from tests.support.cameras import camera, rtsp_server, stop_after
from tests.support.containers import add_video
from tests.support.mjpeg_server import mjpeg_server
from tests.support.serving import Quiet, serving
from tests.support.write_clip import turn_clockwise

USER, PASSWORD = "warden", "se#same"
LOGIN = ("--user", USER, "--password", PASSWORD)
S = 1_000_000_000


def read(uri: str | Path, count: int | None = None, *, paced: bool = True, loop: bool = False) -> list[Frame]:
    """The first `count` frames, or all, within 10 seconds."""
    with stop_after(10) as stop, closing(open_source(str(uri), paced=paced, loop=loop)) as source:
        return list(itertools.islice(source.frames(stop), count))


def times_of(frames: list[Frame]) -> list[float]:
    return [frame.pts_s for frame in frames]


def increases(values: list[float]) -> bool:
    return all(a < b for a, b in itertools.pairwise(values))


def write_clip(path: Path, frames: int = 30, *, key_every: int = 10, width: int = 96) -> Path:
    """A clip 64 pixels high whose every picture is different."""
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "bf": "0", "g": str(key_every)}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = width, 64, "yuv420p"
        for i in range(frames):
            tiles = np.random.default_rng(i).integers(0, 255, (8, width // 8, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.kron(tiles, np.ones((8, 8, 1), np.uint8)))))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 48_000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    return path


def damage(path: Path, *, at: int, mask: int = 0xFF) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)


def middle_picture(path: Path) -> int:
    """Where in an MPEG transport stream the header of a picture in its middle lies."""
    data = path.read_bytes()
    return data.index(b"\x00\x00\x01\xe0", len(data) // 2)


URL_SAFE = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:%?#"


@given(st.text(URL_SAFE, min_size=1), st.text(URL_SAFE, min_size=1))
def test_redacted_text_never_holds_user_and_password(user: str, password: str) -> None:
    redacted = redact(f"cannot open rtsp://{user}:{password}@host/path")
    assert f"{user}:{password}@" not in redacted
    assert redacted == "cannot open rtsp://***@host/path"
    assert redact(redacted) == redacted


@pytest.mark.parametrize(
    "parameter", ["token", "api_key", "password", "pwd", "X-Signature", "authCode", "client_secret"]
)
def test_secret_parameters_are_redacted_and_others_kept(parameter: str) -> None:
    url = "http://cam/video?width=640&{}={}&quality=5"
    assert redact(url.format(parameter, "hunter2")) == url.format(parameter, "***")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("rtsp://warden:sesame@nowhere.invalid/live", "unknown host 'nowhere.invalid'"),
        ("rtsp://warden:sesame@/live", "not a URL with a host"),
        ("rtsp://warden:sesame@[/live", "not a URL with a host"),
        ("gopher://warden:sesame@host/live", "use a camera number, rtsp"),
        ("987", "no such camera: /dev/video987"),
        ("rtsp://warden:ses#ame@nowhere.invalid/live", "in a user name or password, write # as %23"),
        ("rtsp://warden:12#sesame@nowhere.invalid/live", "in a user name or password, write # as %23"),
        ("rtsp://warden:12?sesame@nowhere.invalid/live", "in a user name or password, write ? as %3F"),
        ("rtsp://warden:12/sesame@nowhere.invalid/live", "in a user name or password, write / as %2F"),
        ("rtsp://warden:ses@me/sesame@nowhere.invalid/live", "in a user name or password, write / as %2F"),
        ("http://warden#sesame:12@nowhere.invalid/live", "in a user name or password, write # as %23"),
        ("https://warden?sesame@nowhere.invalid/", "in a user name or password, write ? as %3F"),
        ("rtsp://warden:12/?#sesame@nowhere.invalid/", "write / as %2F and ? as %3F and # as %23"),
        ("rtsp://war/den:sesame@nowhere.invalid/", "in a user name or password, write / as %2F"),
        ("rtsp://war/?a=den:sesame@nowhere.invalid/", "write / as %2F and ? as %3F"),
        ("rtsp://warden:sesame", "not a URL with a host: rtsp://*** (its port is not a number from 1 to 65535)"),
        ("rtsp://nowhere.invalid:65536/live", "its port is not a number from 1 to 65535"),
        ("rtsp://nowhere.invalid:port/live", "its port is not a number from 1 to 65535"),
        ("rtsp://warden:sesame@2001:db8::1/live", "an IPv6 address stands in brackets"),
        ("rtsp://warden:sesame@[nowhere.invalid]/live", "in brackets stands an IPv6 address"),
        ("rtsp://warden:sesame@[fe80::1]/live", "needs its network interface: [fe80::1%25eth0]"),
        ("rtsp://warden:sesame@[fe80::1%25nowhere0]/live", "unknown host 'fe80::1%nowhere0'"),
        ("rtsp://warden:sesame@cam/li\nve", "there is a line break"),
        ("rtsp:/nowhere.invalid/live", "did you mean rtsp://?"),
        ("HTTP//nowhere.invalid/live", "did you mean http://?"),
        ("rstp://warden:sesame@nowhere.invalid/live", "did you mean rtsp://?"),
        ("srt://warden:sesame@nowhere.invalid:9000", "a media server can take srt in, and give it out as rtsp"),
        ("udp://239.0.0.1:1234", "a media server can take udp in, and give it out as rtsp"),
        ("rtmp://nowhere.invalid/live", "a media server can take rtmp in, and give it out as rtsp"),
    ],
)
def test_an_address_that_cannot_be_right_is_explained_without_its_password(uri: str, words: str) -> None:
    with pytest.raises(StreamcamError, match=re.escape(words)) as e:
        open_source(uri).open()
    assert "warden" not in str(e.value)
    assert "sesame" not in str(e.value)


@pytest.mark.parametrize(
    ("uri", "url", "host"),
    [
        ("RTSP://Cam:8554/Live", "rtsp://Cam:8554/Live", "Cam"),
        ("Https://cam/video", "https://cam/video", "cam"),
        ("  rtsp://cam/live \n", "rtsp://cam/live", "cam"),
        ("'rtsp://cam/live'", "rtsp://cam/live", "cam"),
        ('"rtsp://cam/live" ', "rtsp://cam/live", "cam"),
        ("\u201crtsp://cam/live\u201d", "rtsp://cam/live", "cam"),
        ("rtsp://cam:/live", "rtsp://cam/live", "cam"),
        ("rtsp://cam", "rtsp://cam", "cam"),
        ("rtsp://u:p@w@cam/live", "rtsp://u:p@w@cam/live", "cam"),
        ("rtsp://u:p[w]@cam:1/live", "rtsp://u:p[w]@cam:1/live", "cam"),
        ("rtsp://u:50%off@cam/live", "rtsp://u:50%off@cam/live", "cam"),
        ("http://cam:8080/video?mail=a@b.invalid", "http://cam:8080/video?mail=a@b.invalid", "cam"),
        ("http://cam/user@home", "http://cam/user@home", "cam"),
        ("rtsp://[::1]:554/live", "rtsp://[::1]:554/live", "::1"),
        # RFC 6874: % before the zone is written %25 in a URL, and as itself where a name is looked up.
        ("rtsp://u:p@[fe80::1%25eth0]/live", "rtsp://u:p@[fe80::1%eth0]/live", "fe80::1%eth0"),
        ("rtsp://[fe80::1%eth0]:554/live", "rtsp://[fe80::1%eth0]:554/live", "fe80::1%eth0"),
    ],
)
def test_a_url_is_taken_as_it_is_meant(uri: str, url: str, host: str) -> None:
    address = parse_address(uri)
    assert (address.url, address.host) == (url, host)


def test_a_kind_of_source_is_one_entry_in_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    def blank(uri: SourceUri) -> Address:
        return Address(uri.text, "blank", f"color=size={uri.text.removeprefix('blank:')}", live=False, format="lavfi")

    monkeypatch.setitem(KINDS, "blank:", blank)
    with closing(open_source("blank:64x48", paced=False)) as source:
        assert next(source.frames(Event())).pixels.shape == (48, 64, 3)


def link_local() -> str:
    """An address of this machine that holds on one link alone, with its interface."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET6 and address.address.startswith("fe80:"):
                return address.address
    pytest.skip("needs a network interface with IPv6")


@pytest.mark.parametrize("percent", ["%25", "%"])
def test_a_camera_on_this_link_alone_is_reached_by_its_interface(percent: str) -> None:
    with mjpeg_server(address=link_local()) as host:
        assert len(read(f"http://{host.replace('%', percent)}/video", 2)) == 2


@pytest.mark.parametrize("uri", ["rtsp://warden:pa#ss@cam/live", "rtsp://warden:1/2@cam/live", "rtsp://warden:1?@cam"])
def test_no_part_of_a_login_is_looked_up(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: asked.append(args))
    with pytest.raises(StreamcamError, match="not a URL with a host"):
        open_source(uri).open()
    assert asked == []


@pytest.mark.parametrize(
    "uri", ["rtsp://warden:h4x/0rz@cam/live", "rtsp:/warden:h4x0rz@cam/live", "warden:h4x0rz@cam/live"]
)
def test_a_login_in_an_address_that_is_written_wrong_is_not_shown(uri: str) -> None:
    with pytest.raises(StreamcamError) as e:
        open_source(uri)
    assert not any(secret in str(e.value) for secret in ("warden", "h4x", "0rz"))


def test_an_rtsp_camera_with_digest_login_gives_frames_with_their_times(free_port: int) -> None:
    with rtsp_server(free_port, *LOGIN), stop_after(15) as stop:
        url = f"rtsp://{USER}:{PASSWORD.replace('#', '%23')}@127.0.0.1:{free_port}/live"
        with closing(open_source(url)) as source:
            ages_s, frames = [], []
            for frame in itertools.islice(source.frames(stop), 20):
                ages_s.append((time.time_ns() - frame.captured_ns) / S)
                frames.append(frame)
    assert source.live
    assert source.name == "127.0.0.1"
    assert [f.index for f in frames] == list(range(20))
    assert {f.image.shape for f in frames if f.image is not None} == {(240, 320, 3)}
    assert increases(times_of(frames))
    assert np.median(np.diff(times_of(frames))) == pytest.approx(1 / 30, abs=0.002)
    assert -0.01 < min(ages_s) <= max(ages_s) < 1


@pytest.mark.parametrize(("user", "password"), [(USER, "open-barley"), ("stranger", "se%23same")])
def test_a_wrong_login_is_refused_in_words_that_do_not_repeat_it(free_port: int, user: str, password: str) -> None:
    with rtsp_server(free_port, *LOGIN), pytest.raises(StreamcamError, match="wrong or missing user name") as e:
        open_source(f"rtsp://{user}:{password}@127.0.0.1:{free_port}/live").open()
    shown = f"{e.value} {e.value!r} {e.value.__cause__} {''.join(traceback.format_exception(e.value))}"
    assert not any(secret in shown for secret in (user, password, password.replace("%23", "#")))
    assert f"127.0.0.1:{free_port}" in str(e.value)


def test_a_missing_login_and_a_missing_stream_are_told_apart(free_port: int) -> None:
    with rtsp_server(free_port, *LOGIN):
        with pytest.raises(StreamcamError, match="missing user name or password"):
            open_source(f"rtsp://127.0.0.1:{free_port}/live").open()
        with pytest.raises(StreamcamError, match="no such stream"):
            open_source(f"rtsp://127.0.0.1:{free_port}/elsewhere").open()


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_camera_where_nobody_listens_is_an_error_for_who_does_not_want_to_wait(free_port: int, scheme: str) -> None:
    with pytest.raises(StreamcamError, match="nobody listens there"):
        open_source(f"{scheme}://127.0.0.1:{free_port}/live").open()


def test_a_restarted_camera_is_a_new_session_and_the_index_runs_on(
    free_port: int,
) -> None:
    with stop_after(20) as stop:
        with rtsp_server(free_port):
            source = camera(f"rtsp://127.0.0.1:{free_port}/live", retry_s=0.1)
            coming = source.frames(stop)
            frames = list(itertools.islice(coming, 5))
        with rtsp_server(free_port), closing(source):
            frames += itertools.takewhile(lambda frame: frame.session == 0, coming)
            again = list(itertools.islice(coming, 5))
            assert source.status == SourceStatus("live", session=1)
    assert [f.session for f in again] == [1] * 5
    assert [f.index for f in again] == list(range(again[0].index, again[0].index + 5))
    assert again[0].index == frames[-1].index + 2  # takewhile took one
    assert again[0].pts_s < 1
    assert increases(times_of(again))


def test_a_camera_that_falls_silent_is_lost_and_comes_back(free_port: int) -> None:
    with (
        rtsp_server(free_port) as server,
        stop_after(20) as stop,
        closing(camera(f"rtsp://127.0.0.1:{free_port}/live", retry_s=0.1)) as source,
    ):
        coming = source.frames(stop)
        next(coming)
        server.send_signal(signal.SIGSTOP)
        revival = Timer(3.5, server.send_signal, [signal.SIGCONT])
        revival.start()
        assert next(frame.session for frame in coming if frame.session > 0) == 1
        revival.join()


def test_stop_ends_the_wait_for_a_lost_camera(free_port: int) -> None:
    source = camera(f"rtsp://127.0.0.1:{free_port}/live", retry_s=60)
    with closing(source), stop_after(0.5) as stop:
        started = time.monotonic()
        list(source.frames(stop))
        assert 0.4 < time.monotonic() - started < 2
    assert source.state.startswith("lost: ")


def test_frames_that_queued_up_are_dropped_and_counted(free_port: int) -> None:
    with (
        rtsp_server(free_port),
        stop_after(15) as stop,
        closing(open_source(f"rtsp://127.0.0.1:{free_port}/live")) as source,
    ):
        coming = source.frames(stop)
        before = list(itertools.islice(coming, 10))[-1]
        time.sleep(1.5)
        after = next(coming)
        age_s = (time.time_ns() - after.captured_ns) / S
    assert source.drops["late"] > 10
    assert after.pts_s - before.pts_s > 1.5 - MAX_LATE_S - 0.2
    assert after.index == before.index + 1
    assert age_s < MAX_LATE_S + 0.5


def test_mjpeg_over_http_is_live_and_timed_by_arrival() -> None:
    """Of 10 frames a second, where FFmpeg would make 25 of it."""
    with mjpeg_server(fps=10) as host, stop_after(15) as stop, closing(open_source(f"http://{host}/video")) as source:
        began_s = time.monotonic()
        frames = list(itertools.islice(source.frames(stop), 15))
        passed_s = time.monotonic() - began_s
        assert source.live
    assert {f.image.shape for f in frames if f.image is not None} == {(mjpeg.HEIGHT, mjpeg.WIDTH, 3)}
    times_s = times_of(frames)[2:]  # the first two were read together when the stream was opened
    assert increases(times_s)
    assert 0.6 * 12 / 10 <= times_s[-1] - times_s[0] <= passed_s


def test_an_http_login_is_used_and_never_shown() -> None:
    with mjpeg_server(login="warden:sesame") as host:
        assert len(read(f"http://warden:sesame@{host}/video", 2)) == 2
        with pytest.raises(StreamcamError, match="wrong or missing user name or password") as e:
            open_source(f"http://warden:wrongpass@{host}/video?token=abc123").open()
    assert not any(secret in repr(e.value) for secret in ("warden", "wrongpass", "abc123"))


def test_stop_ends_a_live_stream_promptly() -> None:
    with mjpeg_server() as host, stop_after(0.5) as stop, closing(open_source(f"http://{host}/video")) as source:
        started = time.monotonic()
        frames = list(source.frames(stop))
        assert time.monotonic() - started < 2
    assert frames


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder's files over HTTP; gives the folder's URL."""

    class Files(Quiet, SimpleHTTPRequestHandler):
        pass

    with serving(partial(Files, directory=folder)) as address:
        yield f"http://{address}"


def test_a_file_over_http_ends_as_a_file_does(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mkv")
    with served(tmp_path) as url:
        frames = read(f"{url}/clip.mkv", paced=False)
    assert [f.index for f in frames] == list(range(30))
    assert {f.session for f in frames} == {0}


@pytest.mark.parametrize(
    "kind", ["mp4", "mov", "webm", "ts", "flv", "avi", "ogv", "mpg", "asf", "h264", "hevc", "mjpeg"]
)
def test_every_usual_format_is_taken_over_http(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"clip.{kind}"
    with av.open(str(path), "w", options={"movflags": "faststart"} if kind in ("mp4", "mov") else {}) as container:
        codec = {"webm": "libvpx", "ogv": "libvpx", "mpg": "mpeg1video", "hevc": "libx265", "mjpeg": "mjpeg"}
        layout = "yuvj420p" if kind == "mjpeg" else "yuv420p"
        stream = add_video(container, codec.get(kind, "libx264"), rate=25, size=(96, 64), layout=layout)
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8))))
        container.mux(stream.encode(None))
    with served(tmp_path) as url:
        assert len(read(f"{url}/{path.name}", 3, paced=False)) == 3


def test_every_frame_of_real_footage_arrives(videos: Path) -> None:
    frames = read(videos / "asl" / "book.mkv", paced=False)
    assert [f.index for f in frames] == list(range(109))
    assert {f.image.shape for f in frames if f.image is not None} == {(480, 640, 3)}
    assert increases(times_of(frames))


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi"])
def test_a_file_gives_every_frame_and_the_same_at_each_reading(tmp_path: Path, kind: str) -> None:
    path = write_clip(tmp_path / f"clip.{kind}")
    once, again = (read(path, paced=False) for _ in range(2))
    assert [f.index for f in once] == list(range(30))
    assert {f.source for f in once} == {"clip"}
    assert times_of(once) == pytest.approx([once[0].pts_s + i / 30 for i in range(30)], abs=1e-3)
    assert times_of(again) == times_of(once)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(once, again, strict=True))


def test_a_paced_file_takes_its_own_time(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv")
    started = time.monotonic()
    frames = read(path)
    assert 29 / 30 - 0.02 < time.monotonic() - started < 4
    due_s = [(f.captured_ns - frames[0].captured_ns) / S for f in frames]
    assert due_s == pytest.approx(times_of(frames), abs=1e-3)


def test_a_paced_file_without_end_obeys_stop() -> None:
    with stop_after(0.4) as stop, closing(open_source("lavfi:testsrc=size=64x48:rate=0.1")) as source:
        started = time.monotonic()
        assert len(list(source.frames(stop))) == 1
        assert time.monotonic() - started < 2


def test_each_round_of_a_loop_is_a_new_session(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", 10)
    frames = read(path, 25, paced=False, loop=True)
    assert [f.session for f in frames] == [0] * 10 + [1] * 10 + [2] * 5
    assert [f.index for f in frames] == list(range(25))
    assert times_of(frames[10:20]) == times_of(frames[:10])


def test_pixels_are_red_green_blue() -> None:
    frames = read("lavfi:color=c=red:size=64x48:rate=10:duration=0.5", paced=False)
    assert len(frames) == 5
    assert frames[0].pixels.mean((0, 1)) == pytest.approx([254, 0, 0], abs=3)
    assert frames[0].source == "color"


def test_a_video_of_a_turned_phone_is_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", 1)
    upright = read(path, paced=False)[0].pixels
    turn_clockwise(path)
    turned = read(path, paced=False)[0].pixels
    assert np.array_equal(turned, np.rot90(upright, -1))


@pytest.mark.parametrize("kind", ["mkv", "ts"])
def test_standard_input_can_be_a_pipe(tmp_path: Path, kind: str) -> None:
    program = (
        "from threading import Event; from streamcam.sources.base import open_source; "
        "print(len(list(open_source('-', paced=False).frames(Event()))))"
    )
    data = write_clip(tmp_path / f"clip.{kind}").read_bytes()
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, timeout=60, check=True)
    assert done.stdout.split() == [b"30"]


def _folder(path: Path) -> None:
    path.mkdir()


def _garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(50_000))


def _no_whole_picture(path: Path) -> None:
    data = write_clip(path).read_bytes()
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    path.write_bytes(data[:start] + bytes(end - start) + data[end:])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_garbage, "not a video"),
        (Path.touch, "cannot open"),
        (_folder, "it is a folder"),
        (str, "no such file"),
        (write_sound, "no video stream"),
        (_no_whole_picture, "cannot decode a single picture"),
    ],
    ids=["garbage", "empty", "folder", "missing", "sound-only", "no-whole-picture"],
)
@pytest.mark.parametrize("loop", [False, True])
def test_what_is_not_a_video_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], object], words: str, loop: bool
) -> None:
    path = tmp_path / "clip.mp4"
    make(path)
    with pytest.raises(StreamcamError, match=words) as e:
        read(path, paced=False, loop=loop)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("kind", ["mkv", "ts"])
def test_a_file_cut_off_gives_what_is_there(tmp_path: Path, kind: str) -> None:
    path = write_clip(tmp_path / f"clip.{kind}")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 5])
    frames = read(path, paced=False)
    assert 12 <= len(frames) < 30
    assert increases(times_of(frames))


def test_pictures_that_do_not_decode_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", key_every=1)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    data = path.read_bytes()
    for packet in packets[10:15]:
        data = data.replace(packet, bytes(len(packet)))
    path.write_bytes(data)
    with closing(open_source(str(path), paced=False)) as source:
        frames = list(source.frames(Event()))
    assert [round(30 * f.pts_s) for f in frames] == [*range(10), *range(15, 30)]
    assert source.drops["corrupt"] == 5


def test_pictures_that_cannot_be_converted_are_counted_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()

    def convert(_: RgbConverter, picture: av.VideoFrame) -> np.ndarray:
        if next(looks) in (3, 4):
            raise ValueError("no such pixel format")
        return picture.to_ndarray(format="rgb24")

    monkeypatch.setattr(RgbConverter, "image", convert)
    with closing(open_source(str(write_clip(tmp_path / "clip.mkv")), paced=False)) as source:
        frames = list(source.frames(Event()))
    assert [f.index for f in frames] == list(range(28))
    assert source.drops["corrupt"] == 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["mkv", "ts"])
def test_damage_in_the_middle_does_not_end_a_file(tmp_path: Path, kind: str, seed: int) -> None:
    path = write_clip(tmp_path / f"clip.{kind}", 60)
    size = path.stat().st_size
    for at in np.random.default_rng(seed).integers(size * 2 // 5, size * 3 // 5, 60):
        damage(path, at=int(at))
    frames = read(path, paced=False)
    assert 35 < len(frames) <= 60
    assert frames[-1].pts_s > 1.9


def test_a_stream_that_turns_up_in_the_middle_of_a_file_is_ignored(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts", 60)
    packet = middle_picture(path) // 188 * 188
    damage(path, at=packet + 2)  # the packet's stream number
    assert len(read(path, paced=False)) >= 50


def test_a_damaged_timestamp_does_not_hold_up_a_paced_file(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts")
    damage(path, at=middle_picture(path) + 9, mask=0x02)  # bit 30 of its time in 1/90000 s: 3.3 hours
    started = time.monotonic()
    frames = read(path)
    assert len(frames) >= 29
    assert time.monotonic() - started < 8


def test_a_file_whose_time_starts_again_is_paced_to_its_end_in_two_sessions(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts")
    path.write_bytes(path.read_bytes() * 2)
    started = time.monotonic()
    frames = read(path)
    assert len(frames) == 60
    assert time.monotonic() - started > 1.8
    assert [f.session for f in frames] == [0] * 30 + [1] * 30
    captured_ns = [f.captured_ns for f in frames]
    assert captured_ns == sorted(captured_ns)


def test_a_webcam_that_has_nothing_yet_is_asked_again() -> None:
    class Waiting:
        """A container that is not ready every other time, as FFmpeg's webcams are; none can be had for tests."""

        def __init__(self, container: av.container.InputContainer) -> None:
            self._packets, self._asked = container.demux(), 0
            self.streams = container.streams

        def demux(self) -> "Waiting":
            return self

        def __next__(self) -> "av.Packet[Stream]":
            self._asked += 1
            if self._asked % 2:
                raise BlockingIOError
            return next(self._packets)

    with av.open("testsrc=size=64x48:rate=10:duration=1", format="lavfi") as container:
        reader = Reader(Waiting(container), stream=container.streams.video[0], live=True, drops=Counter())  # type: ignore[arg-type]
        assert len(list(reader.frames(Event()))) == 10
    assert reader.reason == "the stream ended"


def test_another_size_on_the_way_is_a_new_session(tmp_path: Path) -> None:
    first, second = write_clip(tmp_path / "1.h264"), write_clip(tmp_path / "2.h264", width=128)
    (path := tmp_path / "clip.h264").write_bytes(first.read_bytes() + second.read_bytes())
    assert [f.session for f in read(path, paced=False)] == [0] * 30 + [1] * 30


def arrive(times: LiveTimestamps, stream_s: float | None, now_s: float) -> tuple[float, float, float]:
    pts_s, captured_ns, late_s = times.read(stream_s, int(now_s * S))
    return pts_s, captured_ns / S, late_s


def running(delay_s: float = 0.2, *, at_s: float = 500.0) -> LiveTimestamps:
    """Three seconds into a stream at 30 fps whose frames take `delay_s` to get here, from second `at_s` of ours."""
    times = LiveTimestamps(by_arrival=False)
    for i in range(90):
        arrive(times, 40 + i / 30, at_s + i / 30 + delay_s)
    return times


def test_a_frame_held_up_on_the_way_is_late_by_that_and_was_due_before() -> None:
    times = running(0.2)
    pts_s, captured_s, late_s = arrive(times, 43.0, 503.0 + 0.2 + 0.7)
    assert pts_s == pytest.approx(3.0)
    assert late_s == pytest.approx(0.7, abs=0.005)
    assert captured_s == pytest.approx(503.2, abs=0.005)
    assert arrive(times, 44.0, 504.2) == pytest.approx((4.0, 504.2, 0.0), abs=0.005)


def test_a_late_first_frame_does_not_make_the_others_early() -> None:
    times = LiveTimestamps(by_arrival=False)
    arrive(times, 40.0, 502.0)
    assert arrive(times, 41.0, 501.2 + 1.0) == pytest.approx((1.0, 502.2, 0.0), abs=0.005)


@pytest.mark.parametrize("speed", [1 - 5e-4, 1 + 5e-4])
def test_a_camera_clock_that_runs_slow_or_fast_never_makes_frames_late(speed: float) -> None:
    times = LiveTimestamps(by_arrival=False)
    late_s = [arrive(times, i * speed, 500.0 + i)[2] for i in range(3600)]
    assert max(late_s) < 0.01


@pytest.mark.parametrize(("by_arrival", "stream_s"), [(True, 7.0), (False, None)])
def test_a_stream_without_times_of_its_own_is_timed_by_arrival(by_arrival: bool, stream_s: float | None) -> None:
    times = LiveTimestamps(by_arrival)
    arrivals_s = [500.0, 500.05, 500.3, 502.0]
    read_s = [arrive(times, stream_s, now_s) for now_s in arrivals_s]
    assert [pts_s for pts_s, _, _ in read_s] == pytest.approx([0.0, 0.05, 0.3, 2.0])
    assert [captured_s for _, captured_s, _ in read_s] == pytest.approx(arrivals_s)
    assert [late_s for _, _, late_s in read_s] == pytest.approx([0.0] * 4, abs=1e-6)


@pytest.mark.parametrize("jump_s", [-40.0, 11_930.0])
def test_a_camera_that_sets_its_clock_is_not_taken_for_late(jump_s: float) -> None:
    times = running()
    read_s = [arrive(times, 43 + jump_s + i / 30, 503.2 + i / 30) for i in range(30)]
    assert max(late_s for _, _, late_s in read_s) < MAX_LATE_S


def test_one_frame_with_a_wild_time_does_not_silence_the_rest() -> None:
    times = running()
    arrive(times, 43 + 11_930.0, 503.2)
    read_s = [arrive(times, 43 + i / 30, 503.2 + i / 30) for i in range(1, 30)]
    assert read_s[-1][2] < MAX_LATE_S


def test_a_way_that_has_become_longer_for_good_is_accepted() -> None:
    times = LiveTimestamps(False)
    dropped = 0
    for i in range(300):
        arrives_s = 100 + i / 30 + (1.0 if i >= 100 else 0.0)
        dropped += times.read(i / 30, int(arrives_s * 1e9))[2] > 0.5
    assert 20 <= dropped <= 60  # until two seconds after the last frame in time it might be a queue


@pytest.mark.parametrize(("fps", "becomes", "changed"), [(30, 15, True), (15, 30, True), (30, 25, False)])
def test_another_frame_rate_is_noticed_and_unsteady_frames_are_not(fps: int, becomes: int, changed: bool) -> None:
    rate, random = FrameRateMonitor(), np.random.default_rng(0)
    times_s = random.uniform(-0.01, 0.01, 200) + np.cumsum([1 / fps] * 100 + [1 / becomes] * 100)
    seen = [rate.changes(pts_s) for pts_s in times_s]
    assert not any(seen[:100])
    assert any(seen[100:115]) == changed


def test_more_frames_than_anybody_can_look_at_are_dropped_but_not_a_burst() -> None:
    limit = RateLimiter(max_fps=100)
    assert all(limit.allows(S) for _ in range(100))
    passed = sum(limit.allows(S + i * S // 1000) for i in range(1, 5001))  # five seconds of 1000 fps
    assert 499 <= passed <= 501


def test_a_wall_clock_that_is_set_neither_drops_nor_holds_up_frames(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_clip(path, frames=20)
    looks = itertools.count()
    clock = lambda: 10**18 - next(looks) * 10**9  # noqa: E731 — it goes back a second at every look
    source = VideoSource(parse_address(str(path)), clock=clock)
    start_s = time.monotonic()
    assert len(list(source.frames(Event()))) == 20
    assert time.monotonic() - start_s < 3
    source.close()


def test_a_source_can_be_closed_while_another_thread_reads_from_a_camera_that_stalls() -> None:
    code = """
import socket, sys, threading, time
from streamcam.sources.base import open_source
source, stop = open_source(sys.argv[1]), threading.Event()
frames = source.frames(stop)
next(frames)
thread = threading.Thread(target=lambda: list(frames), daemon=True)
thread.start()
time.sleep(0.5)
stop.set()
source.close()
thread.join(15)
assert not thread.is_alive()
"""
    with mjpeg_server(frames=12) as address:
        done = subprocess.run([sys.executable, "-c", code, f"http://{address}/"], timeout=40, check=False)
    assert done.returncode == 0


def test_no_connection_is_begun_after_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop while the host's name is looked up, it does not go on to wait for the host."""
    stop, look_up = Event(), socket.getaddrinfo

    def stopped_meanwhile(host: str, port: None) -> object:
        stop.set()
        return look_up(host, port)

    monkeypatch.setattr("streamcam.sources.opening.socket.getaddrinfo", stopped_meanwhile)
    with socket.create_server(("127.0.0.1", 0)) as host:
        host.setblocking(False)
        with closing(open_source(f"rtsp://127.0.0.1:{host.getsockname()[1]}/live")) as source:
            assert list(source.frames(stop)) == []
        with pytest.raises(BlockingIOError):
            host.accept()


def test_a_name_server_that_hangs_holds_one_thread_a_host_however_often_it_is_asked(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, look_up = Event(), socket.getaddrinfo

    def late(host: str, port: None) -> object:
        answers.wait(20)
        return look_up(host, port)

    def asking() -> list[Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "name look-up"]

    monkeypatch.setattr("streamcam.sources.opening.socket.getaddrinfo", late)
    monkeypatch.setattr("streamcam.sources.opening.NETWORK_TIMEOUT_S", 0.1)
    sources = [open_source(f"rtsp://{host}:{free_port}/live") for host in ("127.0.0.1", "127.0.0.2")]
    for source in sources * 3:
        with pytest.raises(StreamcamError, match="the name server does not answer"):
            source.open()
    assert len(asking()) == 2
    answers.set()
    for thread in asking():
        thread.join(10)
    for source in sources:
        with closing(source), pytest.raises(StreamcamError, match="nobody listens there"):
            source.open()
