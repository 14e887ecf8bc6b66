import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from streamcam.web.guard.attempts import PER_CLIENT
from streamcam.web.guard.guard import CSP, HEADERS, Guard
from streamcam.web.guard.requests import MAX_BODY_BYTES
from tests.support.page_server import TOKEN, PageServer, Reply, page_server, token_file

BEARER = {"authorization": f"Bearer {TOKEN}"}
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
UPGRADE = (
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ANYWHERE = ["/", "/page/main.js", "/palette.json", "/cameras/door.jpg", "/cameras/door.mjpeg", "/api/cameras", "/x"]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    """A server that wants a token, and believes what a proxy says of clients."""
    file = token_file(tmp_path_factory.mktemp("token"))
    with page_server("--token-file", file, "--behind-proxy") as server:
        yield server


@pytest.fixture(scope="module")
def local() -> Iterator[PageServer]:
    """A server without a token, for this machine."""
    with page_server() as server:
        yield server


def log_in(server: PageServer, token: str = TOKEN, *, client: str = "10.0.0.1", **headers: str) -> Reply:
    form = {"content-type": "application/x-www-form-urlencoded", "x-forwarded-for": client}
    body = urlencode({"user": "streamcam", "token": token}).encode()
    return server.ask("/login", method="POST", headers=form | headers, body=body)


def cookie_of(reply: Reply) -> dict[str, str]:
    return {"cookie": reply.headers["set-cookie"].partition(";")[0]}


def refusal(server: PageServer, **headers: str) -> int:
    with pytest.raises(InvalidStatus) as caught:
        server.browse(headers)
    return caught.value.response.status_code


@pytest.mark.slow
@pytest.mark.parametrize("path", ANYWHERE)
def test_nothing_is_shown_without_the_token(closed: PageServer, path: str) -> None:
    reply = closed.ask(path)
    assert reply.status == 401
    assert reply.error == "a token is needed: Authorization: Bearer TOKEN"
    assert reply.headers["www-authenticate"] == "Bearer"
    assert closed.ask(path, headers={"cookie": "streamcam-0=made.up.0"}).status == 401


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["/page/../page/main.js", "/page//style.css/../main.js", "//page/style.css", "/healthz/"]
)
def test_odd_paths_are_no_way_in(closed: PageServer, path: str) -> None:
    assert closed.ask(path).status == 401


@pytest.mark.slow
def test_only_healthz_is_open(closed: PageServer) -> None:
    assert closed.ask("/healthz").body == b"ok\n"
    assert closed.ask("/healthz", headers={"host": "10.1.2.3:8090"}).status == 200


@pytest.mark.slow
def test_a_browser_is_shown_where_to_log_in(closed: PageServer) -> None:
    reply = closed.ask("/", headers=HTML)
    assert reply.status == 401
    assert b'<form method="post" action="/login">' in reply.body
    for asset in ("/page/style.css", "/page/login.css", "/page/login.js"):
        assert closed.ask(asset).status == 200
    page = closed.ask("/login")
    assert page.status == 200
    assert page.body == reply.body
    assert b"style=" not in page.body
    assert b"onclick" not in page.body


@pytest.mark.slow
def test_a_login_gives_a_cookie_that_opens_everything(closed: PageServer) -> None:
    reply = log_in(closed)
    assert (reply.status, reply.headers["location"]) == (303, "/")
    assert reply.headers["set-cookie"].endswith("Path=/; HttpOnly; SameSite=Strict; Secure")
    assert TOKEN not in str(reply.headers)
    cookie = cookie_of(reply)
    assert b"streamcam" in closed.ask("/", headers=cookie).body
    assert closed.ask("/palette.json", headers=cookie).status == 200
    with closed.browse(cookie) as socket:
        hello = json.loads(socket.recv(timeout=10))
    assert hello["login"] is True
    out = closed.ask("/logout", headers=cookie)
    assert (out.status, out.headers["location"]) == (303, "/login")
    assert "Max-Age=0" in out.headers["set-cookie"]


@pytest.mark.slow
def test_a_program_sends_the_token_itself(closed: PageServer) -> None:
    assert closed.ask("/palette.json", headers=BEARER).status == 200
    wrong = closed.ask("/palette.json", headers={"authorization": "Bearer no", "x-forwarded-for": "10.0.0.2"})
    assert (wrong.status, wrong.error) == (401, "the token is wrong: Authorization: Bearer TOKEN")
    with closed.browse(BEARER) as socket:
        socket.recv(timeout=10)


@pytest.mark.slow
def test_a_websocket_without_the_token_is_refused_before_it_opens(closed: PageServer) -> None:
    assert refusal(closed) == 403
    assert refusal(closed, authorization="Bearer wrong", **{"x-forwarded-for": "10.0.0.3"}) == 403


@pytest.mark.slow
def test_wrong_tokens_are_answered_more_and_more_curtly(closed: PageServer) -> None:
    cookie = cookie_of(log_in(closed, client="10.0.1.1"))
    for _ in range(PER_CLIENT):
        reply = log_in(closed, "wrong", client="10.0.1.1")
        assert reply.status == 401
        assert b"This token is wrong." in reply.body
    reply = log_in(closed, client="10.0.1.1")
    assert reply.status == 429
    assert 50 <= int(reply.headers["retry-after"]) <= 60
    assert b"Too many wrong tokens." in reply.body
    program = closed.ask("/palette.json", headers=BEARER | {"x-forwarded-for": "10.0.1.1"})
    assert program.status == 429
    assert program.error.startswith("too many wrong tokens: try again in ")
    assert closed.ask("/palette.json", headers=cookie | {"x-forwarded-for": "10.0.1.1"}).status == 200
    forged = log_in(closed, client="10.0.1.2, 10.0.1.1")
    assert forged.status == 429  # what stands before the last address, the client has written itself
    assert log_in(closed, client="10.0.1.2").status == 303


@pytest.mark.slow
def test_without_a_proxy_a_client_cannot_choose_its_address(tmp_path: Path) -> None:
    with page_server("--token-file", token_file(tmp_path)) as server:
        for number in range(PER_CLIENT):
            assert log_in(server, "wrong", client=f"10.0.0.{number}").status == 401
        assert log_in(server, client="10.0.0.99").status == 429


@pytest.mark.slow
def test_another_page_can_do_nothing(closed: PageServer, local: PageServer) -> None:
    here = f"http://127.0.0.1:{local.port}"
    assert refusal(local, origin="http://evil.example") == 403
    assert refusal(local, origin=f"http://localhost:{local.port}") == 403
    assert refusal(local, origin="null") == 403
    with local.browse({"origin": here}) as socket:
        assert json.loads(socket.recv(timeout=10))["login"] is False
    assert refusal(closed, origin="http://evil.example", **BEARER) == 403
    for method in ("POST", "DELETE", "PUT"):
        refused = local.ask("/api/zones", method=method, headers={"origin": "http://evil.example"})
        assert (refused.status, refused.error[:35]) == (403, "the request comes from another page")
        assert local.ask("/palette.json", method=method, headers={"origin": here}).status == 405
        assert local.ask("/palette.json", method=method).status == 405
    assert log_in(closed, origin="http://evil.example").status == 403
    assert closed.ask("/logout", headers={"sec-fetch-site": "cross-site"}).status == 403


@pytest.mark.slow
def test_a_name_that_another_website_points_here_is_not_answered(local: PageServer) -> None:
    for host in ("evil.example", f"evil.example:{local.port}", "localhost.evil.example", ""):
        for path in ANYWHERE:
            refused = local.ask(path, headers={"host": host})
            assert refused.status == 421
            assert "give --token-file or --token-env" in refused.error
    with local.connect() as socket:
        socket.sendall(b"GET /ws HTTP/1.1\r\nhost: evil.example\r\norigin: http://evil.example\r\n" + UPGRADE)
        assert socket.recv(100).startswith(b"HTTP/1.1 403 ")
    for host in ("localhost", f"localhost:{local.port}", "127.0.0.1:1", f"[::1]:{local.port}"):
        assert local.ask("/", headers={"host": host}).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("path", [*ANYWHERE, "/healthz", "/login"])
def test_every_answer_tells_browsers_to_be_careful(closed: PageServer, local: PageServer, path: str) -> None:
    for reply in (local.ask(path), closed.ask(path), closed.ask(path, headers=BEARER), local.ask(path, method="HEAD")):
        own = {"referrer-policy": "same-origin"} if b"<form" in reply.body else {}
        assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS | own
        assert "unsafe-inline" not in reply.headers["content-security-policy"]
        assert "server" not in reply.headers
        assert "strict-transport-security" not in reply.headers
    assert local.ask(path).headers["cache-control"] == ("no-cache" if "/page/" in path else "no-store")


@pytest.mark.slow
def test_a_file_of_the_page_is_sent_once_per_version(local: PageServer) -> None:
    tag = local.ask("/page/main.js").headers["etag"]
    again = local.ask("/page/main.js", headers={"if-none-match": tag})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.slow
def test_large_requests_are_refused(local: PageServer) -> None:
    declared = local.ask("/palette.json", method="POST", headers={"content-length": str(MAX_BODY_BYTES + 1)})
    assert (declared.status, declared.error) == (413, "a request has at most 64 KiB")
    with local.connect() as socket:
        socket.sendall(b"POST /x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        socket.sendall(b"10001\r\n" + bytes(0x10001) + b"\r\n")
        assert socket.recv(100).startswith(b"HTTP/1.1 413 ")
    with local.connect() as socket:
        socket.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 20_000)
        assert socket.recv(100).startswith(b"HTTP/1.1 400 ")
    with local.browse() as browser:
        browser.send("x" * (MAX_BODY_BYTES + 1))
        with pytest.raises(ConnectionClosedError, match="received 1009"):
            for _ in browser:
                pass
    assert local.ask("/healthz").status == 200


def test_what_the_page_may_load() -> None:
    assert CSP.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "http" not in CSP


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


async def endless(_: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield b"%d\n" % number
            await asyncio.sleep(0.001 if number < 3 else 3600)

    return StreamingResponse(parts())


class Exchange:
    """One request to a guarded application, without a server."""

    def __init__(self, path: str, *, method: str = "GET", body: tuple[bytes, ...] = ()) -> None:
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        self.incoming = [
            {"type": "http.request", "body": part, "more_body": number < len(body)}
            for number, part in enumerate(body, 1)
        ]
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self.incoming:
            return self.incoming.pop(0)
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def guarded() -> Guard:
    routes = [Route("/echo", echo, methods=["POST"]), Route("/endless", endless)]
    return Guard(Starlette(routes=routes), None)


def test_a_request_in_pieces_arrives_whole() -> None:
    exchange = Exchange("/echo", method="POST", body=(b"one ", b"", b"two"))
    asyncio.run(guarded()(exchange.scope, exchange.receive, exchange.send))
    assert exchange.sent[0]["status"] == 200
    assert exchange.sent[1]["body"] == b"one two"


def test_a_request_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamcam.web.guard.requests.BODY_S", 0.05)
    exchange = Exchange("/echo", method="POST")
    asyncio.run(guarded()(exchange.scope, exchange.receive, exchange.send))
    assert exchange.sent[0]["status"] == 408


def test_half_a_request_is_none() -> None:
    exchange = Exchange("/echo", method="POST")
    exchange.incoming = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    asyncio.run(guarded()(exchange.scope, exchange.receive, exchange.send))
    assert exchange.sent[0]["status"] == 400


def test_a_stream_passes_piece_by_piece_and_ends_with_the_server() -> None:
    async def watch() -> list[Message]:
        guard, exchange = guarded(), Exchange("/endless", body=(b"",))
        task = asyncio.create_task(guard(exchange.scope, exchange.receive, exchange.send))
        while len(exchange.sent) < 5:
            await asyncio.sleep(0.001)
        assert not task.done()
        guard.close()
        await asyncio.wait_for(task, 5)
        return exchange.sent

    start, *pieces, last = asyncio.run(watch())
    assert dict(start["headers"])[b"cache-control"] == b"no-store"
    assert [piece["body"] for piece in pieces] == [b"0\n", b"1\n", b"2\n", b"3\n"]
    assert last == {"type": "http.response.body", "body": b"", "more_body": False}
