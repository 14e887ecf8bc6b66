"""`streamcam notify` in a process of its own: who should be told is told, whatever happens to it or to others."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from streamcam.child import stop_child
from streamcam.event import Event
from streamcam.events.event_json import decode_event
from streamcam.notify.bridge import Bridge, default_spool
from streamcam.notify.child import start_bridge
from streamcam.transport.publisher import Publisher
from tests.notify.test_webhook import Hook, hook
from tests.support.messages import an_event
from tests.support.mosquitto import broker, receiver
from tests.support.paths import ROOT
from tests.support.publish_demo import eventually

pytestmark = pytest.mark.slow

PARENT = """
import sys, time
from streamcam.notify.child import start_bridge
bridge = start_bridge(sys.argv[1], sys.argv[2:], None)
print(bridge.pid, flush=True)
time.sleep(300)
"""


class Camera:
    """A publisher that serves in a thread, as a pipeline would; events are sent from any thread."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint, self._lock, self._stop = endpoint, threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Camera":
        self._publisher = Publisher(self._endpoint)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._publisher.close()

    def send(self, event: Event) -> None:
        with self._lock:
            self._publisher.send_event(event)

    def wants(self) -> bool:
        with self._lock:
            return self._publisher.wants("cam1", "event")

    def _serve(self) -> None:
        next_s = 0.0
        while not self._stop.wait(0.01):
            with self._lock:
                self._publisher.serve()
                if time.monotonic() >= next_s:
                    next_s = time.monotonic() + 0.3
                    self._publisher.send_directory(["cam1"])
                    self._publisher.send_status("cam1", {"state": "live", "fps": 25.0})


@pytest.fixture
def ipc(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/s"


@pytest.fixture
def camera(ipc: str) -> Iterator[Camera]:
    with Camera(ipc) as made:
        yield made


def command(ipc: str, *options: str | Path) -> list[str]:
    return [sys.executable, "-m", "streamcam", "notify", ipc, *map(str, options)]


@contextmanager
def bridge(camera: Camera, ipc: str, *options: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command, subscribed to events."""
    with subprocess.Popen(command(ipc, *options), stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            eventually(camera.wants, "the bridge subscribes", seconds=40)
            yield process
        finally:
            process.kill()
    eventually(lambda: not camera.wants(), "it is gone")


def ids(server: Hook) -> list[str]:
    return [decode_event(body).id for body in server.bodies]


def test_a_url_a_command_and_a_broker_are_told(camera: Camera, ipc: str, tmp_path: Path) -> None:
    config = tmp_path / "notify.yaml"
    with broker(tmp_path / "b") as made, receiver(made) as received, hook() as (server, url):
        config.write_text(f"mqtt: {{host: 127.0.0.1, port: {made.port}}}\nspool: {tmp_path}/spool\n")
        said = f"sh -c 'cat >> {tmp_path}/said; echo >> {tmp_path}/said'"
        with bridge(camera, ipc, "--config", config, "--on-event", url, "--on-event", said) as process:
            for i in range(3):
                camera.send(an_event(id=f"e{i}", state="start"))
            eventually(lambda: ids(server) == ["e0", "e1", "e2"], "the URL is told")
            eventually(lambda: received.newest.get("streamcam/cam1/_camera/fps") == b"25.0", "the rate is told")
            eventually(lambda: len(received.of("/event")) == 3, "the broker is told")
            eventually(lambda: (tmp_path / "said").read_text().count("\n") == 3, "the command is told")
            process.terminate()
            errors = process.communicate(timeout=20)[1]
        assert process.returncode == 0
        assert "3 events received" in errors
        assert f"mqtt 127.0.0.1:{made.port}: 3 told" in errors
        assert "Traceback" not in errors
        eventually(lambda: received.newest["streamcam/status"] == b"offline", "the bridge says that it is gone")


def test_a_slow_url_keeps_nobody_else_waiting_and_the_publisher_neither(
    camera: Camera, ipc: str, tmp_path: Path
) -> None:
    leave = threading.Event()

    def stall(_: BaseHTTPRequestHandler) -> None:
        leave.wait(60)

    with hook() as (slow, slow_url), hook() as (quick, quick_url):
        slow.before = stall
        options: list[str | Path] = [
            "--on-event",
            slow_url,
            "--on-event",
            quick_url.replace("a=1", "a=2"),
            "--spool",
            tmp_path / "spool",
        ]
        try:
            with bridge(camera, ipc, *options):
                for i in range(50):
                    camera.send(an_event(id=f"e{i}", state="start"))
                    eventually(lambda i=i: len(quick.bodies) > i, "the quick one is told")  # type: ignore[misc]
                assert len(slow.bodies) == 1
        finally:
            leave.set()
    assert ids(quick) == [f"e{i}" for i in range(50)]


def test_a_bridge_that_is_killed_tells_the_rest_when_it_comes_back_and_nothing_twice(
    camera: Camera, ipc: str, tmp_path: Path
) -> None:
    with hook(200, 200, 503) as (server, url):
        options: list[str | Path] = ["--on-event", url, "--spool", tmp_path / "spool"]
        with bridge(camera, ipc, *options) as process:
            for i in range(10):
                camera.send(an_event(id=f"e{i}", state="start"))
            eventually(lambda: len(server.bodies) >= 4, "two are told, and the third is tried again")
            process.kill()
            process.wait()
        server.bodies.clear()
        server.answers[:] = [200]
        with bridge(camera, ipc, *options):  # it gets the last event again, as any late joiner
            camera.send(an_event(id="last", state="start"))
            eventually(lambda: ids(server)[-1:] == ["last"], "the rest is told")
    assert ids(server) == [*(f"e{i}" for i in range(2, 10)), "last"]


def test_the_last_events_of_a_run_are_told_before_its_bridge_ends(ipc: str, tmp_path: Path) -> None:
    with hook() as (server, url), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        with Camera(ipc) as camera:
            process = start_bridge(ipc, [url], None)
            eventually(camera.wants, "the bridge subscribes", seconds=40)
            for i in range(5):
                camera.send(an_event(id=f"e{i}", state="end", reason="stopped"))
        stop_child(process)
        assert default_spool(ipc).is_dir()
    assert process.returncode == 0
    assert ids(server) == [f"e{i}" for i in range(5)]


def test_a_bridge_ends_when_the_run_that_started_it_is_killed(camera: Camera, ipc: str, tmp_path: Path) -> None:
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, ipc, "cat hunter2"], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    with parent:
        assert parent.stdout is not None
        bridge_id = int(parent.stdout.readline())
        assert "hunter2" not in Path(f"/proc/{bridge_id}/cmdline").read_text()
        eventually(camera.wants, "the bridge subscribes", seconds=40)
        parent.kill()
    eventually(lambda: not camera.wants(), "the bridge is gone", seconds=20)


def test_ctrl_c_in_the_terminal_of_a_run_leaves_its_bridge_to_the_run(camera: Camera, ipc: str, tmp_path: Path) -> None:
    with hook() as (server, url), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        process = start_bridge(ipc, [url], None)
        eventually(camera.wants, "the bridge subscribes", seconds=40)
        process.send_signal(signal.SIGINT)
        camera.send(an_event(id="after", state="end"))
        eventually(lambda: ids(server) == ["after"], "it is told still")
        stop_child(process)
    assert process.returncode == 0


def test_a_second_bridge_on_the_same_spool_is_refused(camera: Camera, ipc: str, tmp_path: Path) -> None:
    options: list[str | Path] = ["--on-event", "cat", "--spool", tmp_path / "spool"]
    with bridge(camera, ipc, *options):
        second = subprocess.run(command(ipc, *options), capture_output=True, text=True, cwd=ROOT)
    assert second.returncode == 2
    assert "another streamcam notify uses" in second.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nobody to tell"),
        (["--on-event", "no-such-program"], "no such program, or it is not executable: no-such-program"),
        (["--on-event", "cat", "--on-event", "cat"], "cat is there twice"),
        (["--on-event", "cat", "--spool", "/proc/no"], "cannot use the spool folder /proc/no"),
        (["--config", "no-such.yaml"], "cannot read no-such.yaml"),
        (["--on-event", "cat", "--keys", "/no/such", "--spool", "SPOOL"], "/no/such"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(options: list[str], said: str, ipc: str, tmp_path: Path) -> None:
    options = [str(tmp_path) if option == "SPOOL" else option for option in options]
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(command(ipc, *options), capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_paho_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamcam.config.load import make_notify_config
    from streamcam.errors import StreamcamError

    for name in ("streamcam.notify.mqtt", "streamcam.notify.mqtt_connection"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "paho", None)
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    config = make_notify_config({"mqtt": {"host": "h"}}, on_event=[])
    with pytest.raises(StreamcamError, match=r"pip install 'streamcam\[mqtt\]'"):
        Bridge(config, spool=tmp_path)
