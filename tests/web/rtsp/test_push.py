"""Overlays pushed to an RTSP server, a real one where that can be."""

import logging
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from streamcam.errors import StreamcamError
from streamcam.sources.status import Backoff
from streamcam.transport.headers import FrameHeader, Header
from streamcam.web.hub import Hub
from streamcam.web.rtsp import push
from streamcam.web.rtsp.client import RtspError, RtspSender, parse_rtsp_url
from streamcam.web.rtsp.login import Login
from streamcam.web.rtsp.push import Push, RtspOut, Timeline
from tests.support.commands import complaint
from tests.support.ports import unused_port
from tests.support.publish_demo import COLOURS, eventually, publishing
from tests.support.recording import Recorder, Shown, recorder
from tests.support.web_server import web_server


def colours(pictures: Sequence[Shown]) -> list[int]:
    """The number of the demo's colour that each picture has."""
    found = [np.abs(np.array(COLOURS) - picture.colour).sum(1) for picture in pictures]
    assert all(distances.min() < 25 for distances in found)
    return [int(distances.argmin()) for distances in found]


def await_pictures(server: Recorder, name: str, count: int) -> None:
    eventually(lambda: len(server.of(name)) >= count, f"{count} pictures of {name}", seconds=40)


@pytest.mark.slow
def test_pictures_of_every_camera_arrive_in_order_and_in_time(free_port: int) -> None:
    with (
        recorder(free_port, "demo", "yard.2") as server,
        publishing(f"tcp://127.0.0.1:{unused_port()}", "--sources", "demo", "yard.2") as demo,
        web_server(demo.endpoint, "--rtsp-out", f"rtsp://127.0.0.1:{free_port}/{{camera}}") as web,
    ):
        for name in ("demo", "yard.2"):
            await_pictures(server, name, 61)
        assert web.errors == []
    pictures = server.of("demo")[:60]
    assert {picture.size for picture in pictures} == {"640x480"}
    seen = colours(pictures)
    assert all((b - a) % len(COLOURS) <= 1 for a, b in pairwise(seen)), seen
    assert len(set(seen)) == len(COLOURS)
    # The server follows its own clock, too: under load, its times are the stream's only roughly.
    assert all(a.seconds < b.seconds for a, b in pairwise(pictures))
    assert 1.5 < pictures[-1].seconds - pictures[0].seconds < 15


@pytest.mark.slow
def test_a_server_that_comes_back_is_sent_pictures_again(free_port: int) -> None:
    url = f"rtsp://someone:hunter2@127.0.0.1:{free_port}/{{camera}}"
    login = ("demo", "--user", "someone", "--password", "hunter2")
    with (
        publishing(f"tcp://127.0.0.1:{unused_port()}", "--seconds", "200") as demo,
        web_server(demo.endpoint, "--rtsp-out", url) as web,
    ):
        eventually(lambda: web.errors, "it says that the server is away", seconds=20)
        for _ in range(2):
            with recorder(free_port, *login) as server:
                await_pictures(server, "demo", 11)
        eventually(lambda: len(web.errors) >= 2, "it says that the server is away again")
        assert web.ask("/healthz").code == 200
    refused = f"cannot push demo to the RTSP server 127.0.0.1:{free_port}: Connection refused; trying again\n"
    assert web.errors[0] == refused
    assert len(web.errors) <= 4
    assert all("push demo" in line for line in web.errors)
    assert "hunter2" not in "".join(web.errors)


@pytest.mark.slow
def test_a_wrong_password_is_told_of_without_it(free_port: int) -> None:
    url = f"rtsp://someone:swordfish@127.0.0.1:{free_port}/{{camera}}"
    with (
        recorder(free_port, "demo", "--user", "someone", "--password", "hunter2") as server,
        publishing(f"tcp://127.0.0.1:{unused_port()}") as demo,
        web_server(demo.endpoint, "--rtsp-out", url) as web,
    ):
        eventually(lambda: web.errors, "it says so", seconds=20)
        assert "401 Unauthorized: it wants another user and password" in web.errors[0]
        assert "swordfish" not in web.errors[0]
        assert server.pictures == []


@pytest.mark.slow
def test_a_second_camera_without_a_place_of_its_own_is_warned_of(free_port: int) -> None:
    with (
        recorder(free_port, "live") as server,
        publishing(f"tcp://127.0.0.1:{unused_port()}", "--sources", "demo", "yard") as demo,
        web_server(demo.endpoint, "--rtsp-out", f"rtsp://127.0.0.1:{free_port}/live") as web,
    ):
        await_pictures(server, "live", 11)
    assert web.errors == [
        "yard is not pushed to the RTSP server, only demo is: put {camera} into --rtsp-out\n",
    ]


@contextmanager
def mute_server() -> Iterator[int]:
    """A server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.slow
def test_a_server_that_says_nothing_costs_nothing_and_ends_with_the_program() -> None:
    with (
        mute_server() as port,
        publishing(f"tcp://127.0.0.1:{unused_port()}") as demo,
        web_server(demo.endpoint, "--rtsp-out", f"rtsp://127.0.0.1:{port}/{{camera}}") as web,
    ):
        web.await_cameras("demo")
        eventually(lambda: web.errors, "it is told of", seconds=20)
        begin_s = time.monotonic()
        assert web.ask("/cameras/demo.jpg", method="HEAD").code == 200
        assert time.monotonic() - begin_s < 1
        used = psutil.Process(web.process.pid).cpu_times()
        time.sleep(2)
        assert psutil.Process(web.process.pid).cpu_times().user - used.user < 0.5
        web.process.terminate()
        web.process.wait(5)
    assert web.errors == [
        f"cannot push demo to the RTSP server 127.0.0.1:{port}: it does not answer; trying again\n",
    ]


def served_by(answers: bytes, tls: ssl.SSLContext | None = None) -> tuple[int, threading.Thread]:
    """A server that answers one connection with these bytes; its port, and its thread."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with ExitStack() as stack:
            stack.enter_context(listener)
            stack.enter_context(suppress(OSError))
            connection = stack.enter_context(listener.accept()[0])
            if tls is not None:
                connection = stack.enter_context(tls.wrap_socket(connection, server_side=True))
            connection.recv(4096)
            connection.sendall(answers)
            connection.recv(4096)

    thread = threading.Thread(target=answer)
    thread.start()
    return listener.getsockname()[1], thread


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak RTSP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it does not speak RTSP"),
        (b"\0" * 9000, "it does not speak RTSP"),
        (b"RTSP/1.0 454 Session\x1b[2J Not Found\r\n\r\n", "it answers OPTIONS with 454 Session\\x1b[2J Not Found"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "its answer is too long"),
        (b"RTSP/1.0 401 No\r\nWWW-Authenticate: Kerberos\r\n\r\n", "it answers OPTIONS with 401 No: it wants another"),
    ],
)
def test_what_is_no_rtsp_server_is_refused(answers: bytes, reason: str) -> None:
    port, thread = served_by(answers)
    with RtspSender(parse_rtsp_url(f"rtsp://127.0.0.1:{port}/live")) as sender, pytest.raises(RtspError) as found:
        sender.ask_options()
    assert str(found.value).startswith(reason)
    thread.join()


def test_a_connection_that_is_closed_is_noticed() -> None:
    port, thread = served_by(b"RTSP/1.0 200 OK\r\n\r\n")
    with RtspSender(parse_rtsp_url(f"rtsp://127.0.0.1:{port}/live")) as sender:
        sender.ask_options()
        with pytest.raises(ConnectionError):  # the server closes once it has read the first
            for _ in range(2):
                sender.keep_alive()
                thread.join()


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    names = ("-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    subprocess.run(["openssl", "req", "-x509", *key, *names], cwd=tmp_path, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    port, thread = served_by(b"RTSP/1.0 200 OK\r\n\r\n", tls)
    url = parse_rtsp_url(f"rtsps://127.0.0.1:{port}/live")
    if trusted:
        with RtspSender(url) as sender:
            sender.ask_options()
            with pytest.raises(ConnectionError):
                for _ in range(2):
                    sender.keep_alive()
                    thread.join()
    else:
        with pytest.raises(ssl.SSLError) as found:
            RtspSender(url)
        assert push._reason(found.value) == "self-signed certificate"
    thread.join()


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "live",
            "http://host/live",
            "rtsp://",
            "rtsp:///live",
            "rtsp://host",
            "rtsp://host/",
            "rtsp://host:x/live",
        ),
        *(
            "rtsp://host:99999/live",
            "rtsp://ho st/live",
            "rtsp://host/li\r\nve",
            "rtsp://[::1/live",
            "rtsp://a:b@/live",
            "rtsp://host/{cam}",
            "rtsp://host/live?name={camera",
        ),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(StreamcamError, match="expected --rtsp-out rtsp://HOST/") as found:
        RtspOut(Hub(1), url)
    assert "\n" not in str(found.value)


@pytest.mark.slow
def test_a_wrong_address_ends_the_command_with_code_2() -> None:
    line = complaint("web", "--rtsp-out", "rtsp://user:hunter2@:554/x", "--bind", "127.0.0.1:0")
    assert "expected --rtsp-out rtsp://HOST/{camera}" in line
    assert "hunter2" not in line


def test_an_address_is_told_without_its_password() -> None:
    url = parse_rtsp_url("rtsps://me:p%40ss@[::1]/a%40b/ä?x=1")
    assert (url.host, url.port, url.tls, url.user, url.password) == ("::1", 322, True, "me", "p@ss")
    assert url.uri == "rtsps://[::1]:322/a%40b/%C3%A4?x=1"
    assert "p@ss" not in repr(url)


def test_a_digest_is_that_of_the_standard() -> None:
    """The examples of RFC 2617, section 3.5, and RFC 7616, section 3.9.1."""
    login = Login("Mufasa", "Circle Of Life", nonce=lambda: "0a4f113b")
    assert login.take(
        ['Basic realm="x"', 'Digest realm="testrealm@host.com", qop="auth,auth-int", '
         'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'],
    )  # fmt: skip
    header = login.header("GET", "/dir/index.html")
    assert header is not None
    assert 'response="6629fae49393a05397450978507c4ef1"' in header
    assert "qop=auth, nc=00000001" in header
    login = Login("Mufasa", "Circle of Life", nonce=lambda: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    assert login.take(
        ['Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
         'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'],
    )  # fmt: skip
    header = login.header("GET", "/dir/index.html")
    assert header is not None
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in header
    assert "algorithm=SHA-256" in header


def test_a_plain_login_is_used_where_nothing_better_is_offered() -> None:
    login = Login("me", "pass")
    assert login.header("OPTIONS", "rtsp://x/y") is None
    assert login.take(['Digest realm="r", nonce="n", algorithm=SHA-512', 'Basic realm="r"'])
    assert login.header("OPTIONS", "rtsp://x/y") == "Basic bWU6cGFzcw=="
    assert not Login("me", "pass").take(["Kerberos"])


def header(pts_s: float, *, captured_s: float, session: int = 0, publisher: str = "p") -> Header:
    frame = FrameHeader(0, pts_s, round(captured_s * 1e9))
    return Header(
        protocol="streamcam/1", kind="overlay", publisher=publisher, seq=0, source="a", sent_ns=0, session=session,
        frame=frame,
    )  # fmt: skip


def test_time_always_goes_on() -> None:
    timeline = Timeline()
    assert timeline.ticks(header(100.0, captured_s=1000)) == 1  # from the first picture on
    assert timeline.ticks(header(100.5, captured_s=1003)) == 45_000
    assert timeline.ticks(header(100.5, captured_s=1003)) is None  # it came before
    assert timeline.ticks(header(2.0, captured_s=1013, session=1)) == 45_000 + 900_000
    assert timeline.ticks(header(2.1, captured_s=1013.1, session=1)) == 45_000 + 909_000
    assert timeline.ticks(header(2.1, captured_s=900, session=1, publisher="q")) == 45_000 + 912_000  # its clock is off


@pytest.mark.slow
def test_a_new_size_begins_the_stream_again(free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    from streamcam.records import Frame, Result
    from streamcam.transport.messages import RawMessage, Stamp, decode_header, encode_picture

    def overlay(index: int, width: int) -> RawMessage:
        result = Result(Frame(None, index, index / 20, index * 50_000_000, "demo"), None, {}, {})
        parts = encode_picture("overlay", result, np.full((96, width, 3), 90, np.uint8), Stamp("p", index, 0))
        return RawMessage(decode_header(parts), parts)

    with recorder(free_port, "demo") as server, caplog.at_level(logging.INFO, push.__name__):
        url = parse_rtsp_url(f"rtsp://127.0.0.1:{free_port}/demo")
        pushed = Push("demo", url, on_ready=lambda: None, backoff=Backoff((0.1,)))
        index = 0

        def sent(size: str, width: int) -> bool:
            nonlocal index
            pushed.put(overlay(index, width))
            index += 1
            time.sleep(0.03)
            return any(picture.size == size for picture in server.of("demo"))

        for size, width in (("128x96", 128), ("160x96", 161), ("64x96", 64)):
            eventually(partial(sent, size, width), f"pictures of {size}", seconds=20)
        pushed.stop()
        pushed.join(5)
        assert not pushed._thread.is_alive()
    assert [record.levelname for record in caplog.records].count("WARNING") == 0
