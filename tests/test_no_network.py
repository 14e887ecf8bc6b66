"""Commands connect to the given sources only: no telemetry, no downloads, no look-ups."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from streamcam.errors import StreamcamError
from streamcam.sources.base import open_source
from tests.support.paths import ROOT
from tests.support.serving import Quiet, serving

UNSHARE = ["unshare", "--user", "--map-root-user", "--net"]


def asked(*command: str) -> list[list[object]]:
    """List the hosts that a command connects to, besides its camera."""
    if shutil.which("ip") is None or subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs iproute2, and a system where anybody may make a network namespace")
    alone = [*UNSHARE, sys.executable, "-m", "tests.support.alone", *command]
    done = subprocess.run(alone, capture_output=True, text=True, timeout=110, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def test_whoever_is_asked_for_something_is_seen() -> None:
    assert asked() == [["tcp", "203.0.113.1", 80], ["udp", "2001:db8::1", 53]]


@pytest.mark.slow
def test_a_run_asks_its_camera_and_nobody_else(tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    streamcam = [sys.executable, "-m", "streamcam", "run", "http://{camera}/video", "sample"]
    options = ["--bind", "tcp://127.0.0.1:5599", "--seconds", "4", "--summary-json", str(summary)]
    assert asked(*streamcam, *options, "--record", str(tmp_path / "seen.mp4")) == []
    sources = json.loads(summary.read_text())["sources"]
    assert set(sources) == {"127.0.0.1", "sample"}
    assert all(counts["results"] > 0 for counts in sources.values())


@contextmanager
def answering(status: int, body: str = "", **headers: str) -> Iterator[str]:
    """An HTTP server with one answer to all requests; gives host:port."""

    class Camera(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

    with serving(Camera) as address:
        yield address


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{elsewhere}/1.ts\n#EXTINF:2,\n{elsewhere}/2.ts\n"


@pytest.mark.parametrize(
    ("status", "body", "headers", "told"),
    [
        (302, "", {"Location": "{elsewhere}/live"}, "sends us elsewhere (then give that address itself)"),
        (308, "", {"Location": "{elsewhere}/live"}, "sends us elsewhere (then give that address itself)"),
        (200, HLS, {"Content-Type": "application/vnd.apple.mpegurl"}, "a playlist that sends us elsewhere"),
    ],
)
def test_a_camera_that_sends_us_elsewhere_is_not_followed(
    status: int, body: str, headers: dict[str, str], told: str
) -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        other.setblocking(False)
        elsewhere = f"http://127.0.0.2:{other.getsockname()[1]}"
        sent = {name: value.format(elsewhere=elsewhere) for name, value in headers.items()}
        with (
            answering(status, body.format(elsewhere=elsewhere), **sent) as host,
            closing(open_source(f"http://warden:sesame@{host}/live")) as source,
            pytest.raises(StreamcamError) as e,
        ):
            source.open()
        assert told in str(e.value)
        assert not any(secret in repr(e.value) for secret in ("warden", "sesame"))
        with pytest.raises(BlockingIOError):
            other.accept()
