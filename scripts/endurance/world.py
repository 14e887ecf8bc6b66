"""Cameras that fail in every way, on command; and those who watch, stall and come again."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

import yaml

from tests.support.cameras import rtsp_server
from tests.support.ports import unused_port
from tests.support.proxy import proxy

USER, PASSWORD = "soak", "s0ak-Secret-42"
PAUSE_S = (6.0, 18.0)
"""Between two faults of a camera."""
THROTTLED_BYTES_S = 4000.0

ENDING = frozenset({"killed", "refused", "cut"})
"""Faults that end the connection, so that a camera is back in a new session; after others the old one may go on."""


def back_after_s(fault: Mapping[str, Any], captured_s: float, session: int) -> float | None:
    """How long after a fault its camera is back, by a result captured then (Unix time); None if it does not show that.

    What was on its way when the connection ended may be captured later than that.
    """
    if captured_s <= fault["end"] or (fault["kind"] in ENDING and session <= fault["session"]):
        return None
    return captured_s - float(fault["end"])


class Camera:
    """A real RTSP server behind a proxy, with faults of the two at random times, one at a time."""

    def __init__(self, name: str, rng: random.Random, stop: Event) -> None:
        self.name, self._rng, self._stop = name, rng, stop
        self._port = unused_port()
        self._serving, self._way = ExitStack(), ExitStack()
        self._serve()
        self.proxy = self._way.enter_context(proxy(self._port))
        self.faults: list[dict[str, Any]] = []
        self.returned = Event()
        """Set by the caller when a result of this camera comes after its last fault. The next fault waits for it."""
        self._thread = Thread(target=self._fail, name=f"faults of {name}")

    def start(self, began_s: float, session: Callable[[], int]) -> None:
        """Begin with faults.

        Args:
            began_s: the time that faults are counted from, as `time.monotonic` gives it.
            session: returns the session of the camera's last result.
        """
        self._began_s, self._session = began_s, session
        self._thread.start()

    def close(self) -> None:
        """Wait for the last fault, then stop the proxy and the server."""
        if self._thread.ident is not None:
            self._thread.join()
        self._way.close()
        self._serving.close()

    def _serve(self) -> None:
        self._server = self._serving.enter_context(rtsp_server(self._port, "--user", USER, "--password", PASSWORD))

    def _fail(self) -> None:
        kinds: list[tuple[str, Callable[[float], None]]] = [
            ("killed", self._killed),
            ("stopped", self._stopped),
            ("black hole", self._black_hole),
            ("refused", self._refused),
            ("cut", self._cut),
            ("garbled", self._garbled),
            ("throttled", self._throttled),
        ]
        while not self._stop.wait(self._rng.uniform(*PAUSE_S)):
            kind, fault = self._rng.choice(kinds)
            begin_s, session = time.monotonic() - self._began_s, self._session()
            fault(self._rng.uniform(0.5, 6.0))
            end_s = time.monotonic() - self._began_s
            self.returned.clear()
            said = {"camera": self.name, "kind": kind, "session": session}
            self.faults.append(said | {"begin_s": begin_s, "end_s": end_s, "end": time.time()})
            while not (self._stop.is_set() or self.returned.wait(0.2)):
                pass

    def _killed(self, seconds: float) -> None:
        self._serving.close()
        self._stop.wait(seconds)
        self._serve()

    def _stopped(self, seconds: float) -> None:
        self._server.send_signal(signal.SIGSTOP)
        self._stop.wait(seconds)
        self._server.send_signal(signal.SIGCONT)

    def _black_hole(self, seconds: float) -> None:
        self.proxy.frozen = True
        self._stop.wait(seconds)
        self.proxy.frozen = False

    def _refused(self, seconds: float) -> None:
        self.proxy.refusing = True
        self.proxy.cut()
        self._stop.wait(seconds)
        self.proxy.refusing = False

    def _cut(self, _seconds: float) -> None:
        self.proxy.cut()

    def _garbled(self, seconds: float) -> None:
        self.proxy.edit = self._garble
        self._stop.wait(seconds)
        self.proxy.edit = None

    def _garble(self, packet: bytes) -> bytes | None:
        """Damage a packet: drop it, cut it short, or change a few bytes, headers too."""
        chance = self._rng.random()
        if chance < 0.1:
            return None
        if chance < 0.2:
            return packet[: self._rng.randrange(len(packet))]
        damaged = bytearray(packet)
        for _ in range(3):
            damaged[self._rng.randrange(len(packet))] = self._rng.randrange(256)
        return bytes(damaged)

    def _throttled(self, seconds: float) -> None:
        self.proxy.bytes_per_s = THROTTLED_BYTES_S
        self._stop.wait(seconds)
        self.proxy.bytes_per_s = None


class RestartingSubscriber:
    """A subscriber in a process of its own, which is killed and started again and again."""

    EVERY_S = 20.0

    def __init__(self, endpoint: str, stop: Event) -> None:
        self._endpoint, self._stop = endpoint, stop
        self.starts = self.served = 0
        self._thread = Thread(target=self._come_and_go, name="restarting subscriber")
        self._thread.start()

    def _come_and_go(self) -> None:
        while not self._stop.is_set():
            process = start_watcher(self._endpoint, stdout=subprocess.PIPE)
            cut_short = self._stop.wait(self.EVERY_S)
            process.kill()
            out, _ = process.communicate()
            if not cut_short:
                self.starts += 1
                self.served += bool(out.strip())

    def close(self) -> None:
        """Wait for the last process to end."""
        self._thread.join()


def start_watcher(endpoint: str, *, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start a subscriber that prints every result, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "streamcam", "view", endpoint, "--print"], stdout=stdout, stderr=subprocess.DEVNULL
    )


def write_config(path: Path, cameras: list[Camera], options: dict[str, Any]) -> None:
    """Write the YAML for `streamcam run`, and the password into a file beside it."""
    secret = path.with_name("password")
    secret.touch(0o600)
    secret.write_text(PASSWORD)
    sources = [
        {
            "uri": f"rtsp://127.0.0.1:{camera.proxy.port}/live",
            "name": camera.name,
            "username": USER,
            "password_file": str(secret),
        }
        for camera in cameras
    ]
    path.write_text(yaml.safe_dump({"sources": sources, **options}))
