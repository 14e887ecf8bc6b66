"""A user name and a password as an RTSP server demands them: Basic (RFC 7617) or Digest (RFC 7616)."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from secrets import token_hex

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')
_HASHES = {"md5": "md5", "sha-256": "sha256"}


class Login:
    """Answers a server's demand."""

    def __init__(self, user: str, password: str, *, nonce: Callable[[], str] = lambda: token_hex(8)) -> None:
        """Take user and password; `nonce` makes the client's random values."""
        self._user, self._password, self._nonce = user, password, nonce
        self._challenge: dict[str, str] | None = None
        self._basic = False
        self._count = 0

    def take(self, demands: Sequence[str]) -> bool:
        """Take the `WWW-Authenticate` headers of an answer; return whether one of them can be met."""
        for demand in demands:
            scheme, _, rest = demand.strip().partition(" ")
            found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
            if scheme.lower() == "digest" and found.get("algorithm", "MD5").lower() in _HASHES and "nonce" in found:
                self._challenge, self._count = found, 0
                return True
        self._basic = any(demand.strip().lower().startswith("basic") for demand in demands)
        return self._basic

    def header(self, method: str, uri: str) -> str | None:
        """Return the `Authorization` header of a request; None where none has been demanded."""
        if self._challenge is not None:
            return self._digest(self._challenge, method, uri)
        if self._basic:
            return "Basic " + b64encode(f"{self._user}:{self._password}".encode()).decode()
        return None

    def _digest(self, challenge: dict[str, str], method: str, uri: str) -> str:
        def hashed(*parts: str) -> str:
            name = _HASHES[challenge.get("algorithm", "MD5").lower()]
            return hashlib.new(name, ":".join(parts).encode(), usedforsecurity=False).hexdigest()

        realm, nonce = challenge.get("realm", ""), challenge["nonce"]
        who, what = hashed(self._user, realm, self._password), hashed(method, uri)
        fields = {"username": self._user, "realm": realm, "nonce": nonce, "uri": uri}
        if "auth" in re.split(r"[\s,]+", challenge.get("qop", "")):
            self._count += 1
            count, own = f"{self._count:08x}", self._nonce()
            fields |= {"response": hashed(who, nonce, count, own, "auth", what), "cnonce": own}
            plain = ["qop=auth", f"nc={count}"]
        else:
            fields["response"], plain = hashed(who, nonce, what), []
        if "opaque" in challenge:
            fields["opaque"] = challenge["opaque"]
        if "algorithm" in challenge:
            plain.append(f"algorithm={challenge['algorithm']}")
        return "Digest " + ", ".join([*(f'{name}="{value}"' for name, value in fields.items()), *plain])
