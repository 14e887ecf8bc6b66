"""`streamcam web` in a process of its own, for tests that ask it without a browser."""

import json
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.http import Page, ask
from tests.support.paths import ROOT
from tests.support.publish_demo import eventually


@dataclass
class WebServer:
    """A running `streamcam web`."""

    process: subprocess.Popen[str]
    address: str
    """HOST:PORT."""
    errors: list[str] = field(default_factory=list)
    """The lines of its standard error so far."""

    def ask(self, path: str, **options: Any) -> Page:
        return ask(self.address, path, **options)

    def json(self, path: str) -> Any:
        return json.loads(self.ask(path).text)

    def await_cameras(self, *names: str) -> None:
        """Wait until exactly these are listed, and each has told its status."""

        def told() -> bool:
            cameras = self.json("/api/cameras")["cameras"]
            return {c["id"] for c in cameras if c["state"] == "live"} == set(names)

        eventually(told, f"the cameras {names} are live", seconds=20)

    def connect(
        self, path: str, headers: Mapping[str, str] | None = None, *, buffer: int | None = None
    ) -> socket.socket:
        """Send a GET by a plain socket, whose receive buffer has so many bytes."""
        host, _, port = self.address.rpartition(":")
        connection = socket.socket()
        connection.settimeout(10)
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.connect((host, int(port)))
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.address}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection


@contextmanager
def web_server(*arguments: str) -> Iterator[WebServer]:
    """Run `streamcam web ARGUMENTS…` on a port that the system chooses; stop it at the end."""
    command = [sys.executable, "-m", "streamcam", "web", *arguments, "--bind", "127.0.0.1:0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        server = WebServer(process, "")
        listener = threading.Thread(target=server.errors.extend, args=(process.stderr,))
        listener.start()
        try:
            said, _, _ = select.select([process.stdout], [], [], 30)
            line = process.stdout.readline() if said else ""
            assert "the page is at " in line, f"it said {line!r}, and ended with code {process.poll()}: {server.errors}"
            server.address = line.split()[-1].removeprefix("http://").rstrip("/")
            yield server
        finally:
            process.kill()
            listener.join()
