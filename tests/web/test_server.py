import http.client
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from streamcam.web.guard.guard import MAX_WEBSOCKETS
from streamcam.web.http_protocol import MAX_CONNECTIONS
from tests.support.commands import line_of, streamcam_anew
from tests.support.page_server import TOKEN, PageServer, make_certificate, page_server, serving_page, token_file
from tests.support.ports import unused_port
from tests.support.publish_demo import eventually, publishing

pytestmark = pytest.mark.slow

NEXT_BIND = "; give another --bind"


def refusal(*arguments: str | Path) -> str:
    """The one line with which the command ends."""
    return line_of(streamcam_anew("web", *arguments)).removeprefix("streamcam: ")


def test_an_address_that_cannot_be_served_at(free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        used = f"127.0.0.1:{free_port}"
        assert refusal("--bind", used) == f"cannot serve the page at {used}: Address already in use{NEXT_BIND}"
    assert refusal("--bind", "8090x").startswith("bind: expected HOST:PORT")


def test_a_page_for_other_machines_needs_a_token_and_tls(tmp_path: Path) -> None:
    everywhere = ("--bind", "0.0.0.0:0")
    assert "give token_file or token_env" in refusal(*everywhere)
    assert "give tls_cert and tls_key, or behind_proxy" in refusal(*everywhere, "--token-file", token_file(tmp_path))
    assert "behind_proxy lets other machines reach the page: give token_file" in refusal("--behind-proxy")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "should hold one line, the token; it has 0"),
        ("\n", "should hold one line, the token; it has 1"),
        ("one-line-of-a-token\nanother-line-of-it\n", "should hold one line, the token; it has 2"),
        ("short\n", "the token of the page has 5 characters, and needs 16 or more; make one: openssl rand -hex 16"),
    ],
)
def test_a_token_file_that_is_not_one(tmp_path: Path, text: str, expected: str) -> None:
    assert refusal("--token-file", token_file(tmp_path, text)).endswith(expected)


def test_a_token_that_cannot_be_read(tmp_path: Path) -> None:
    assert refusal("--token-file", tmp_path) == f"cannot read token_file {tmp_path}: Is a directory"
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert refusal("--token-file", tmp_path / "binary").endswith("it is not text")
    assert refusal("--token-env", "NO_SUCH_TOKEN") == "token_env: the environment variable NO_SUCH_TOKEN is not set"


def test_files_for_tls_that_do_not_fit(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    assert refusal("--tls-cert", cert).endswith("TLS needs tls_cert and tls_key")
    assert refusal("--tls-cert", cert, "--tls-key", tmp_path / "none").endswith("No such file or directory")
    assert "holds no certificate" in refusal("--tls-cert", key, "--tls-key", cert)


def test_publishers_that_cannot_be_subscribed_to(tmp_path: Path) -> None:
    assert "http://127.0.0.1" in refusal("http://127.0.0.1:5570")
    assert str(tmp_path) in refusal("--keys", tmp_path)


def test_it_says_on_which_port_it_is(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    secure = ("--token-file", token_file(tmp_path), "--tls-cert", str(cert), "--tls-key", str(key))
    with page_server(*secure, bind="0.0.0.0:0") as server:
        assert server.url == f"https://{socket.gethostname()}:{server.port}/"
        assert server.port != 0
        trusting = ssl.create_default_context(cafile=str(cert))
        assert server.ask("/healthz", tls=trusting).headers["strict-transport-security"] == "max-age=2592000"
        assert server.ask("/palette.json", tls=trusting).status == 401
        reply = server.ask("/palette.json", tls=trusting, headers={"authorization": f"Bearer {TOKEN}"})
        assert reply.status == 200
        with server.browse({"authorization": f"Bearer {TOKEN}"}, tls=trusting) as browser:
            assert "hello" in str(browser.recv(timeout=10))
        with pytest.raises(http.client.HTTPException):  # not https
            server.ask("/healthz")
        server.process.terminate()
        assert server.process.wait(10) == 130
    assert server.errors == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_whoever_is_watching(number: int) -> None:
    with ExitStack() as stack:
        demo = stack.enter_context(publishing(f"tcp://127.0.0.1:{unused_port()}"))
        server = stack.enter_context(page_server(endpoint=demo.endpoint))
        browsers = [stack.enter_context(server.browse()) for _ in range(5)]
        for browser in browsers:
            browser.send('{"want": {"demo": ["frame", "result", "status"]}}')
        eventually(lambda: any("frames wanted" in line for line in demo.lines), "pictures are wanted")
        idle = stack.enter_context(server.connect())
        half = stack.enter_context(server.connect())
        half.sendall(b"GET / HTTP/1.1\r\nhost: ")
        begin_s = time.monotonic()
        server.process.send_signal(number)
        assert server.process.wait(10) == 130
        assert time.monotonic() - begin_s < 4
        assert idle.recv(1) == b""
        for browser in browsers:
            with pytest.raises(ConnectionClosed):
                while True:
                    browser.recv(timeout=10)
    assert server.errors == []


def test_two_signals_at_once_end_it_as_well() -> None:
    with page_server() as server:
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 130
    assert server.errors == []


@pytest.fixture
def odd() -> Iterator[PageServer]:
    """The server with another application behind it, one that does not do well."""
    with serving_page("tests.support.odd_page") as server:
        yield server


def test_streams_without_end_end_with_it(odd: PageServer) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(odd.connect()) for _ in range(4)]
        for stream, path in zip(streams, ["pictures", "pictures", "waiting", "deaf"], strict=True):
            stream.sendall(f"GET /{path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            assert stream.recv(15) == b"HTTP/1.1 200 OK"
        stalled, *_ = streams  # it reads no more
        begin_s = time.monotonic()
        odd.process.terminate()
        assert odd.process.wait(10) == 130
        assert time.monotonic() - begin_s < 5
        assert stalled.fileno() != -1
    assert odd.errors == []


def test_what_goes_wrong_is_one_line_without_secrets(odd: PageServer) -> None:
    for _ in range(3):
        reply = odd.ask("/broken?token=abc")
        assert reply.status == 500
        assert reply.headers["content-security-policy"]
        assert b"hunter2" not in reply.body
    with pytest.raises(http.client.HTTPException):
        odd.ask("/halfway")
    with odd.connect() as stranger:
        stranger.sendall(b"\x16\x03\x01 not http\r\n\r\n")
        assert stranger.recv(100).startswith(b"HTTP/1.1 400 ")
    eventually(lambda: len(odd.errors) >= 3, "the errors are logged")
    assert [line.partition(" (")[0].rstrip() for line in odd.errors] == [
        "streamcam: Exception in ASGI application: ValueError: cannot reach rtsp://***@10.0.0.7/live",
        "streamcam: Exception in ASGI application: RuntimeError: in the middle, with ***",
        "streamcam: Invalid HTTP request received.",
    ]


def test_who_sends_no_request_in_time_is_hung_up_on(odd: PageServer) -> None:
    with odd.connect() as silent, odd.connect() as slow, odd.connect() as second:
        second.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET /")
        slow.sendall(b"GET / HTTP/1.1\r\n")
        begin_s = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - begin_s < 5  # it is 1 s in this server
        while second.recv(1000):
            pass
        assert slow.recv(1) == b""
    assert odd.ask("/healthz").status == 200


def test_it_has_room_for_so_many_and_no_more(odd: PageServer) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS + 8):
            stack.enter_context(odd.connect()).sendall(b"GET /waiting HTTP/1.1\r\nhost: localhost\r\n\r\n")
        last = stack.enter_context(odd.connect())
        with suppress(ConnectionError):
            assert last.recv(1) == b""
    eventually(lambda: odd.ask("/healthz").status == 200, "there is room again")


def test_there_are_so_many_websockets_and_no_more() -> None:
    with page_server() as server, ExitStack() as stack:
        for _ in range(MAX_WEBSOCKETS):
            stack.enter_context(server.browse())
        with pytest.raises(InvalidStatus):
            server.browse()
        assert server.ask("/healthz").status == 200
        assert server.errors == []


def test_a_websocket_has_no_subprotocol_that_was_not_offered() -> None:
    with page_server() as server:
        for offered, chosen in ((None, None), (["other.1"], None), (["other.1", "streamcam.1"], "streamcam.1")):
            names = [Subprotocol(name) for name in offered] if offered else None
            with connect(f"ws://127.0.0.1:{server.port}/ws", subprotocols=names, proxy=None) as browser:
                assert browser.subprotocol == chosen
                assert "hello" in str(browser.recv(timeout=10))
