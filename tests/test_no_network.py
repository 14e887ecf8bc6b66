"""Nothing but the given sources is asked for anything: no telemetry, no downloads, no look-ups."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = Path(__file__).parent / "support" / "alone.py"
UNSHARE = ["unshare", "--user", "--map-root-user", "--net"]


def asked(*command: str) -> list[list[object]]:
    """Whom a command asks for something, besides its camera."""
    if shutil.which("ip") is None or subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs iproute2, and a system where anybody may make a network namespace")
    search = os.pathsep.join([str(ALONE.parents[1]), *sys.path])
    environment = os.environ | {"PYTHONPATH": search}
    done = subprocess.run(
        [*UNSHARE, sys.executable, str(ALONE), *command], capture_output=True, text=True, timeout=110, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def test_whoever_is_asked_for_something_is_seen() -> None:
    assert asked() == [["tcp", "203.0.113.1", 80], ["udp", "2001:db8::1", 53]]


def test_a_run_asks_its_camera_and_nobody_else(tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    streamcam = [sys.executable, "-m", "streamcam", "run", "http://{camera}/video", "sample"]
    options = ["--bind", "tcp://127.0.0.1:5599", "--seconds", "4", "--summary-json", str(summary)]
    assert asked(*streamcam, *options, "--record", str(tmp_path / "seen.mp4")) == []
    sources = json.loads(summary.read_text())["sources"]
    assert set(sources) == {"127.0.0.1", "sample"}
    assert all(counts["results"] > 0 for counts in sources.values())
