"""Who may watch: whoever has the token, or a cookie that was made of it."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers

from streamcam.errors import StreamcamError
from streamcam.web.guard.attempts import WrongTokens

MIN_TOKEN = 16
COOKIE_S = 30 * 24 * 3600
"""A cookie is good for so long, in seconds."""
MAX_KNOWN = 1024
"""So many cookies are known to be right without another look."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request."""

    kind: Literal["admitted", "refused", "wait"]
    wait_s: float = 0.0
    """How long to wait before another token is looked at."""
    wrong: bool = False
    """Whether a token or a cookie came that is wrong."""


ADMITTED = Verdict("admitted")


class Access:
    """Admits whoever has the token.

    A cookie is `EXPIRES.NONCE.MAC`, in hexadecimal: the MAC is made of the other two with a key that scrypt makes of
    the token. So it outlives a restart, and ends with the token; whoever steals one does not have the token.

    Cookies and tokens count as the same kind of attempt. A client that has tried too many has to wait, and until then
    nothing new that it sends is looked at, be it right or wrong. Cookies that have been right before go on being so.
    """

    def __init__(
        self,
        token: str,
        *,
        port: int = 0,
        secure: bool = False,
        now: Callable[[], float] = time.time,
        attempts: WrongTokens | None = None,
    ) -> None:
        """Prepare the key of cookies, which takes some 50 ms.

        Args:
            token: the only one that is right.
            port: where the page is served: browsers keep one jar of cookies for all ports of a host.
            secure: whether browsers come by https alone.
            now: gives Unix time in seconds.
            attempts: counts the wrong ones.

        Raises:
            StreamcamError: the token is too short.
        """
        if len(token) < MIN_TOKEN:
            raise StreamcamError(
                f"the token of the page has {len(token)} characters, and needs {MIN_TOKEN} or more; "
                "make one: openssl rand -hex 16"
            )
        self._token = token.encode()
        self._key = hashlib.scrypt(self._token, salt=b"streamcam web cookie", n=2**14, r=8, p=1, dklen=32)
        self.cookie = f"streamcam-{port}"
        """The cookie's name."""
        self.secure = secure
        self._now = now
        self._attempts = attempts or WrongTokens()
        self._known: dict[str, None] = {}

    def of_request(self, headers: Headers, client: str) -> Verdict:
        """Judge a request by its cookie or its `Authorization: Bearer TOKEN`."""
        value = self._sent_cookie(headers)
        if value in self._known and self._is_fresh(value):
            return ADMITTED
        scheme, _, token = headers.get("authorization", "").partition(" ")
        has_token = scheme.lower() == "bearer"
        if not has_token and not value:
            return Verdict("refused")
        wait_s = self._attempts.wait_s(client)
        if wait_s:
            return Verdict("wait", wait_s)
        if has_token:
            return self._judge(token.strip().encode("latin-1"), client)
        return self._judge_cookie(value, client)

    def of_form(self, token: str, client: str) -> Verdict:
        """Judge a token that a person has typed."""
        wait_s = self._attempts.wait_s(client)
        return Verdict("wait", wait_s) if wait_s else self._judge(token.encode("utf-8", "replace"), client)

    def new_cookie(self) -> str:
        """Return the header `Set-Cookie` of a browser that is admitted."""
        stamp = f"{int(self._now()) + COOKIE_S:x}.{secrets.token_hex(8)}"
        value = f"{stamp}.{self._mac(stamp)}"
        self._remember(value)
        return self._set_cookie(value, COOKIE_S)

    def no_cookie(self, headers: Headers) -> str:
        """Return the header `Set-Cookie` of a browser that is admitted no longer."""
        self._known.pop(self._sent_cookie(headers), None)
        return self._set_cookie("", 0)

    def _judge(self, token: bytes, client: str) -> Verdict:
        if hmac.compare_digest(token, self._token):
            self._attempts.forgive(client)
            return ADMITTED
        self._attempts.add(client)
        return Verdict("refused", wrong=True)

    def _judge_cookie(self, value: str, client: str) -> Verdict:
        stamp, _, mac = value.rpartition(".")
        if not hmac.compare_digest(mac.encode(), self._mac(stamp).encode()):
            self._attempts.add(client, digest=hashlib.sha256(value.encode()).digest())
            return Verdict("refused", wrong=True)
        if not self._is_fresh(value):
            return Verdict("refused")
        self._remember(value)
        return ADMITTED

    def _mac(self, stamp: str) -> str:
        return hmac.new(self._key, stamp.encode(), "sha256").hexdigest()

    def _is_fresh(self, value: str) -> bool:
        """Whether a cookie whose MAC is right still holds."""
        return int(value.partition(".")[0], 16) > self._now()

    def _remember(self, value: str) -> None:
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[value] = None

    def _sent_cookie(self, headers: Headers) -> str:
        """Return the value of our cookie; empty if there is none."""
        for header in headers.getlist("cookie"):
            for pair in header.split(";"):
                name, _, value = pair.strip().partition("=")
                if name == self.cookie:
                    return value
        return ""

    def _set_cookie(self, value: str, max_age_s: int) -> str:
        attributes = f"Max-Age={max_age_s}; Path=/; HttpOnly; SameSite=Strict"
        return f"{self.cookie}={value}; {attributes}{'; Secure' if self.secure else ''}"
