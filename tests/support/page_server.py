"""`streamcam web` in a process of its own, as other programs see it: over real sockets."""

import http.client
import json
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.support.paths import ROOT

TOKEN = "correct-horse-battery-staple"
SILENT = "tcp://127.0.0.1:9"
"""An endpoint where nobody publishes."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """What is said in the one line of JSON."""
        assert self.body.count(b"\n") == 1
        assert self.body.endswith(b"\n")
        return str(json.loads(self.body)["error"])


@dataclass
class PageServer:
    """The running command."""

    process: subprocess.Popen[str]
    url: str
    errors: list[str] = field(default_factory=list)
    """The lines on its standard error so far."""

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def listen(self) -> None:
        assert self.process.stderr is not None
        self.errors += (line for line in self.process.stderr)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def browse(
        self, headers: Mapping[str, str] | None = None, *, tls: ssl.SSLContext | None = None
    ) -> ClientConnection:
        """Open a WebSocket, as a browser does."""
        url = f"{'wss' if tls else 'ws'}://127.0.0.1:{self.port}/ws"
        names = [Subprotocol("streamcam.1")]
        return connect(url, subprotocols=names, additional_headers=headers, ssl=tls, proxy=None, max_size=None)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Reply:
        """Send one request, and read all of its answer."""
        place = ("127.0.0.1", self.port)
        connection = http.client.HTTPSConnection(*place, context=tls) if tls else http.client.HTTPConnection(*place)
        connection.timeout = 20
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@contextmanager
def page_server(*options: str, endpoint: str = SILENT, bind: str = "127.0.0.1:0") -> Iterator[PageServer]:
    """Run `streamcam web` until the block ends."""
    with serving_page("streamcam", "web", endpoint, "--bind", bind, *options) as server:
        yield server


@contextmanager
def serving_page(*module: str) -> Iterator[PageServer]:
    """Run a module that says where its page is, until the block ends."""
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        server = PageServer(process, "")
        listener = threading.Thread(target=server.listen)
        listener.start()
        try:
            assert process.stdout is not None
            said, _, _ = select.select([process.stdout], [], [], 60)
            line = process.stdout.readline() if said else ""
            if "the page is at " not in line:
                process.kill()
                listener.join()
            assert "the page is at " in line, server.errors
            server.url = line.split()[-1]
            yield server
        finally:
            process.kill()
            listener.join()


def token_file(folder: Path, text: str = TOKEN + "\n") -> str:
    path = folder / "token"
    path.write_text(text)
    return str(path)


def make_certificate(folder: Path, name: str = "own", *, passphrase: str | None = None) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key, as openssl makes them."""
    cert, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    locked = ["-noenc"] if passphrase is None else ["-passout", f"pass:{passphrase}"]
    new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"]
    command = ["openssl", "req", *new, *names, *locked, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key
