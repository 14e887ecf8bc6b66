"""Keys that decide who may watch over a network, for CURVE, ZeroMQ's own encryption.

the publisher's folder        a viewer's folder
  server.secret                 laptop.secret
  clients/laptop.public         server.public
  clients/…

Files have the format of ZeroMQ's certificates (`zmq.auth`, czmq). Secret files stay where they were made; public files
are copied. Everybody whose public file is in `clients` may watch.
"""

import logging
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from streamcam.errors import StreamcamError

log = logging.getLogger(__name__)

SERVER = "server"
"""The name of the publisher's own key."""

CLIENTS = "clients"
"""The folder with the public keys of all who may watch."""

PUBLIC, SECRET = ".public", ".secret"
MAX_FILE_BYTES = 4096

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
_ENTRY = re.compile(rb'^[ \t]*(public|secret)-key[ \t]*=[ \t]*"([^"\n]*)"[ \t\r]*$', re.MULTILINE)
_REMARK = {
    PUBLIC: "public: copy this file to whom you talk to",
    SECRET: "SECRET: this file stays on the machine where it was made",
}


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The keys of a publisher: its own pair, and the public keys of its clients."""

    public: bytes
    secret: bytes = field(repr=False)
    clients: Path
    """The folder with the clients' keys. It is read at every connection, so that changes count at once."""
    _logged: set[str] = field(default_factory=set, repr=False, compare=False)

    def admits(self, public: bytes) -> bool:
        """Return whether the owner of a public key may watch.

        A file that is malformed, or that others can change, admits nobody; each reason is logged once.
        """
        try:
            _require_unchanged(self.clients)
        except StreamcamError as e:
            self._log_once(str(e))
            return False
        for path in _public_files(self.clients):
            try:
                if read_public(path) == public:
                    return True
            except StreamcamError as e:
                self._log_once(str(e))
        return False

    def _log_once(self, reason: str) -> None:
        if reason not in self._logged:
            self._logged.add(reason)
            log.warning("nobody is let in by it: %s", reason)

    @property
    def admitted(self) -> list[str]:
        """The names of all who may watch, sorted."""
        return [path.stem for path in _public_files(self.clients)]


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """The keys of a subscriber: its own pair, and the publisher's public key."""

    public: bytes
    secret: bytes = field(repr=False)
    server: bytes
    """The publisher's public key: no other program can pass itself off as this publisher."""


def default_folder() -> Path:
    """Return the folder for a user's keys."""
    configs = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(configs).expanduser() / "streamcam" / "keys"


def make_keys(name: str, folder: Path) -> tuple[Path, Path]:
    """Make a pair of keys; return the paths of NAME.public and NAME.secret.

    The secret file is never, not even for a moment, readable by anybody but its owner.

    Raises:
        StreamcamError: a key of that name exists, the name has other characters, or a file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise StreamcamError(f"expected a name of letters, digits, '.', '_' and '-', got {name!r}")
    public, secret = folder / f"{name}{PUBLIC}", folder / f"{name}{SECRET}"
    public_key, secret_key = zmq.curve_keypair()
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, mode, keys in ((secret, 0o600, (public_key, secret_key)), (public, 0o644, (public_key,))):
            _write_new(path, keys, mode=mode)
            written.append(path)
        if name == SERVER:
            (folder / CLIENTS).mkdir(exist_ok=True, mode=0o700)
    except OSError as e:
        for path in written:
            path.unlink()
        if isinstance(e, FileExistsError):
            raise StreamcamError(f"{e.filename} is there already: choose another name, or remove it first") from e
        raise StreamcamError(f"cannot write {e.filename or folder}: {e.strerror}") from e
    return public, secret


def server_keys(folder: Path) -> ServerKeys:
    """Read the publisher's own pair, and check the keys of its clients.

    Raises:
        StreamcamError: a key is missing, malformed, or open to others; the message says what to do.
    """
    folder = _existing(folder)
    path = folder / f"{SERVER}{SECRET}"
    if not path.exists():
        raise StreamcamError(f"{folder} holds no {path.name}: streamcam keys new {SERVER} --keys {folder}")
    public, secret = _read_secret(path)
    clients = folder / CLIENTS
    if clients.is_dir():
        _require_unchanged(clients)
    for client in _public_files(clients):
        read_public(client)
    return ServerKeys(public, secret, clients)


def client_keys(folder: Path) -> ClientKeys:
    """Read a subscriber's own pair, and the publisher's public key.

    Raises:
        StreamcamError: a key is missing, malformed, or open to others; the message says what to do.
    """
    folder = _existing(folder)
    own = [path for path in sorted(folder.glob(f"*{SECRET}")) if path.stem != SERVER]
    if not own:
        raise StreamcamError(
            f"{folder} holds no key to watch with: streamcam keys new NAME --keys {folder}, and copy NAME{PUBLIC} to "
            f"the publisher's {CLIENTS} folder"
        )
    if len(own) > 1:
        raise StreamcamError(f"{folder} holds several keys to watch with ({_names(own)}): leave one there")
    server = folder / f"{SERVER}{PUBLIC}"
    if not server.exists():
        raise StreamcamError(f"{folder} holds no {server.name}: copy it from the keys folder of the publisher")
    return ClientKeys(*_read_secret(own[0]), read_public(server))


def read_public(path: Path) -> bytes:
    """Read the public key from a file: 40 characters of Z85 (https://rfc.zeromq.org/spec/32/).

    Raises:
        StreamcamError: the file cannot be read, others can change it, or it holds no public key or a secret one.
    """
    _require_unchanged(path)
    entries = _entries(path)
    if "secret" in entries:
        raise StreamcamError(
            f"{path} holds a private key, which stays where it was made: copy its {PUBLIC} file instead"
        )
    return entries["public"]


def _read_secret(path: Path) -> tuple[bytes, bytes]:
    _require_closed(path, 0o077, "read", "go-rwx")
    entries = _entries(path)
    if "secret" not in entries:
        raise StreamcamError(f"{path} holds no private key: make a pair with streamcam keys new {path.stem}")
    if zmq.curve_public(entries["secret"]) != entries["public"]:
        raise StreamcamError(f"{path} is damaged: its two keys are no pair")
    return entries["public"], entries["secret"]


def _entries(path: Path) -> dict[str, bytes]:
    try:
        if not path.is_file():
            raise StreamcamError(f"{path} is not a file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as e:
        raise StreamcamError(f"cannot read {path}: {e.strerror}") from e
    found = _ENTRY.findall(content)
    entries = {kind.decode(): key for kind, key in found}
    whole = len(content) <= MAX_FILE_BYTES and len(found) == len(entries) and "public" in entries
    if not whole or not all(map(_is_key, entries.values())):
        raise StreamcamError(f"{path} is not a key file: copy it again, or make one with streamcam keys new")
    return entries


def _is_key(text: bytes) -> bool:
    try:
        return len(text) == 40 and len(z85.decode(text)) == 32
    except (KeyError, struct.error):
        return False


def _write_new(path: Path, keys: Sequence[bytes], *, mode: int) -> None:
    """Write a key file that must not exist yet; it has its mode from the first byte on."""
    lines = [f'    {kind}-key = "{key.decode()}"\n' for kind, key in zip(("public", "secret"), keys, strict=False)]
    text = "".join([f"# streamcam, {_REMARK[path.suffix]}\n", "metadata\n", "curve\n", *lines])
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
    except BaseException:
        path.unlink()
        raise


def _existing(folder: Path) -> Path:
    folder = folder.expanduser()
    if not folder.is_dir():
        raise StreamcamError(f"no folder of keys: {folder} (make one with streamcam keys new NAME --keys {folder})")
    _require_unchanged(folder)
    return folder


def _require_unchanged(path: Path) -> None:
    _require_closed(path, 0o022, "written to", "go-w")


def _require_closed(path: Path, bits: int, what: str, remedy: str) -> None:
    """Refuse a file or folder whose mode has any of `bits`: another user of this machine could change or read it.

    On a read-only mount nobody can write, and the group may read: that is how Kubernetes mounts a Secret.

    Args:
        path: the file or folder.
        bits: permissions of group and others, such as 0o077.
        what: what others could do, for the message.
        remedy: the arguments of `chmod` that take those permissions away.
    """
    try:
        others = path.stat().st_mode & bits
        if others and os.statvfs(path).f_flag & os.ST_RDONLY:
            others &= 0o005  # of all permissions, those of "others" to read and to enter still count
            remedy = "mounted read-only, it needs other modes where it is mounted (of a Secret, defaultMode: 0440)"
        else:
            remedy = f"chmod {remedy} {path}"
    except OSError as e:
        raise StreamcamError(f"cannot read {path}: {e.strerror}") from e
    if others:
        raise StreamcamError(f"{path} can be {what} by others: {remedy}")


def _public_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{PUBLIC}"))


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths)
