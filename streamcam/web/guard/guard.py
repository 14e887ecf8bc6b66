"""Stands before the application: who is let in, and what every answer says to browsers.

    request ──► sent to us? ──► from our own page? ──► small enough? ──► token or cookie? ──► the application

Plain ASGI: answers pass through as they are made, so that streams stay streams.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from math import ceil
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamcam.web.guard.access import Access
from streamcam.web.guard.origin import client_of, is_for_loopback, is_same_origin
from streamcam.web.guard.replies import problem
from streamcam.web.guard.requests import WITH_BODY, BodyError, read_body, replay

MAX_WEBSOCKETS = 256
LOGIN = Path(__file__).parents[1] / "page" / "login.html"
OPEN_FILES = frozenset({"/page/style.css", "/page/login.css", "/page/login.js"})
"""What the login page is made of."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
HSTS = "max-age=2592000"


class Guard:
    """An ASGI application that lets requests through to another one, or answers them itself."""

    def __init__(self, app: ASGIApp, access: Access | None, *, tls: bool = False, behind_proxy: bool = False) -> None:
        """Stand before an application.

        Args:
            app: gets what is let through.
            access: says who is admitted; None on this machine alone, for everybody on it.
            tls: whether this server does TLS itself.
            behind_proxy: whether a proxy passes requests on, which says from whom.
        """
        self._app, self._access, self._behind_proxy = app, access, behind_proxy
        self._headers = HEADERS | ({"strict-transport-security": HSTS} if tls else {})
        self._websockets = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End the answers that go on for ever. Call it in the event loop."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one WebSocket, or the application's life."""
        if scope["type"] == "http":
            await self._serve_http(scope, receive, self._with_headers(scope, send))
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(scope, receive)
        except BodyError as e:
            await problem(e.status, str(e), headers={"connection": "close"})(scope, receive, send)
            return
        answer = None if scope["path"] == "/healthz" else self._answer(scope, body)
        if answer is not None:
            await answer(scope, receive, send)
            return
        if scope["method"] in WITH_BODY:
            receive = replay(body, receive)
        await self._pass_on(scope, receive, send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_full = self._websockets >= MAX_WEBSOCKETS
        if is_full or self._answer(scope, b"") is not None:
            await receive()
            await send({"type": "websocket.close", "code": 1008})  # before `accept`, it is sent as status 403
            return
        self._websockets += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._websockets -= 1

    def _answer(self, scope: Scope, body: bytes) -> Response | None:
        """Return what to answer instead of the application; None to let the request through."""
        headers = Headers(scope=scope)
        if self._access is None and not is_for_loopback(headers):
            return problem(421, "without a token, the page is at localhost only: give --token-file or --token-env")
        path = scope["path"]
        changes = scope["type"] == "websocket" or scope["method"] in WITH_BODY or path == "/logout"
        if changes and not is_same_origin(headers):
            return problem(403, "the request comes from another page (the Origin and the Host differ)")
        return None if self._access is None else self._answer_by(self._access, scope, headers, body)

    def _answer_by(self, access: Access, scope: Scope, headers: Headers, body: bytes) -> Response | None:
        client = client_of((scope.get("client") or ("",))[0], headers, behind_proxy=self._behind_proxy)
        match scope["path"]:
            case "/logout":
                return RedirectResponse("/login", 303, headers={"set-cookie": access.no_cookie(headers)})
            case "/login":
                return _login(access, scope, client, body)
            case path if path in OPEN_FILES:
                return None
        verdict = access.of_request(headers, client)
        if verdict.kind == "admitted":
            return None
        is_page = scope["type"] == "http" and "text/html" in headers.get("accept", "")
        if verdict.kind == "wait":
            return _wait(verdict.wait_s, is_page=is_page)
        if is_page:
            return _login_page(401)
        what = "the token is wrong" if verdict.wrong else "a token is needed"
        return problem(401, f"{what}: Authorization: Bearer TOKEN", headers={"www-authenticate": "Bearer"})

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer; once the server closes, tell it that the client has gone."""
        is_complete = False

        async def noted(message: Message) -> None:
            nonlocal is_complete
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        await self._app(scope, self._until_closing(receive), noted)
        if self._closing.is_set() and not is_complete:
            with suppress(Exception):  # the answer may have promised a length
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _until_closing(self, receive: Receive) -> Receive:
        async def received() -> Message:
            message, closing = asyncio.ensure_future(receive()), asyncio.ensure_future(self._closing.wait())
            try:
                await asyncio.wait((message, closing), return_when=asyncio.FIRST_COMPLETED)
                return message.result() if message.done() else {"type": "http.disconnect"}
            finally:
                message.cancel()
                closing.cancel()

        return received

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        is_static = scope["path"].startswith("/page/")

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-cache" if is_static else "no-store")
            await send(message)

        return sent


def _login(access: Access, scope: Scope, client: str, body: bytes) -> Response:
    if scope["method"] in ("GET", "HEAD"):
        return _login_page(200)
    if scope["method"] != "POST":
        return problem(405, "expected GET or POST", headers={"allow": "GET, POST"})
    try:
        fields: Mapping[str, list[str]] = parse_qs(body.decode("ascii"), max_num_fields=4)
    except (UnicodeError, ValueError):
        fields = {}
    verdict = access.of_form(fields.get("token", [""])[0].strip(), client)
    if verdict.kind == "admitted":
        return RedirectResponse("/", 303, headers={"set-cookie": access.new_cookie()})
    return _wait(verdict.wait_s, is_page=True) if verdict.kind == "wait" else _login_page(401, "This token is wrong.")


def _wait(wait_s: float, *, is_page: bool) -> Response:
    seconds = ceil(wait_s)
    retry = {"retry-after": str(seconds)}
    if is_page:
        return _login_page(429, f"Too many wrong tokens. Try again in {seconds} s.", headers=retry)
    return problem(429, f"too many wrong tokens: try again in {seconds} s", headers=retry)


def _login_page(status: int, trouble: str = "", *, headers: Mapping[str, str] | None = None) -> Response:
    page = LOGIN.read_text(encoding="utf-8")
    # With no-referrer, browsers would send the form with `Origin: null`.
    headers = {"referrer-policy": "same-origin", **(headers or {})}
    return HTMLResponse(page.replace("{trouble}", trouble), status, headers=headers)
