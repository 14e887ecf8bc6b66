"""The bodies of requests: small ones, that come in time."""

import asyncio

from starlette.types import Message, Receive, Scope

MAX_BODY_BYTES = 64 * 1024
BODY_S = 10.0
"""A body that has not come within so long is waited for no longer."""

WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class BodyError(Exception):
    """A body that is not taken."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Read the body of a request; empty for the methods that have none.

    Raises:
        BodyError: it is too large or too slow, or breaks off.
    """
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if not declared.isdigit() or int(declared) > MAX_BODY_BYTES:
        raise BodyError(413, f"a request has at most {MAX_BODY_BYTES // 1024} KiB")
    if scope["method"] not in WITH_BODY:
        return b""
    try:
        return await asyncio.wait_for(_read(receive), BODY_S)
    except TimeoutError:
        raise BodyError(408, f"the request did not come within {BODY_S:g} s") from None


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise BodyError(400, "the request broke off")
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise BodyError(413, f"a request has at most {MAX_BODY_BYTES // 1024} KiB")
        if not message.get("more_body", False):
            return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that has been read, and then what comes next."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return first.pop() if first else await receive()

    return replayed
