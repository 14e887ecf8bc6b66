"""Keys and passwords from a Secret, as a container has it: links into a folder that is replaced, mounted read-only."""

import subprocess
import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from threading import Thread

import pytest

from streamcam.config.load import make_config
from streamcam.models.base import CamModel
from streamcam.records import Frame
from streamcam.runtime.app import assemble
from streamcam.transport.keys import make_keys
from streamcam.transport.subscriber import Subscriber
from tests.support.cameras import rtsp_server, stop_after
from tests.support.publish_demo import eventually, publishing
from tests.support.secret_volume import SecretVolume

pytestmark = pytest.mark.slow

READ_ONLY = (
    'mount --bind "$0" "$1" && mount -o remount,bind,ro "$1" && ! touch "$1/new" 2>/dev/null && shift && exec "$@"'
)


class Container:
    """Where a command has the volume at `inside`, and cannot write to it; outside, it is written to at `volume`."""

    def __init__(self, folder: Path) -> None:
        self.volume, self.inside = SecretVolume(folder / "kubelet"), folder / "container"
        self.inside.mkdir()
        unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", READ_ONLY]
        self.command = [*unshare, str(self.volume.folder), str(self.inside)]


@pytest.fixture
def container(tmp_path: Path) -> Container:
    made = Container(tmp_path)
    tried = subprocess.run([*made.command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"needs a system where anybody may mount in a namespace of his own ({tried.stderr.strip()})")
    return made


class Keys:
    """Pairs, and what of them is in a publisher's Secret."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("server", "laptop", "tablet"):
            make_keys(name, folder / name)
        for name in ("laptop", "tablet"):
            (folder / name / "server.public").write_bytes((folder / "server" / "server.public").read_bytes())

    def of(self, name: str) -> Path:
        return self._folder / name

    def secret(self, *clients: str) -> dict[str, bytes]:
        """The items of a Secret by which these may watch."""
        items = {"server.secret": (self._folder / "server" / "server.secret").read_bytes()}
        return items | {f"clients/{n}.public": (self._folder / n / f"{n}.public").read_bytes() for n in clients}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys")


def watched(endpoint: str, keys: Path, *, seconds: float) -> bool:
    with Subscriber(endpoint, keys=keys) as subscriber:
        return len(list(islice(subscriber.messages(timeout_s=seconds), 1))) == 1


@pytest.mark.parametrize("mode", [0o400, 0o440])
def test_keys_come_from_a_secret_and_who_may_watch_changes_with_it(container: Container, keys: Keys, mode: int) -> None:
    """0440 is what fsGroup makes of 0400, too."""
    container.volume.write(keys.secret("laptop"), mode=mode)
    options = ["--keys", str(container.inside)]
    with publishing("tcp://127.0.0.1:*", *options, within=container.command) as demo:
        assert watched(demo.endpoint, keys.of("laptop"), seconds=20)
        assert not watched(demo.endpoint, keys.of("tablet"), seconds=1)
        container.volume.write(keys.secret("tablet"), mode=mode)
        assert watched(demo.endpoint, keys.of("tablet"), seconds=20)
        assert not watched(demo.endpoint, keys.of("laptop"), seconds=1)


def test_a_viewer_has_its_keys_from_a_secret(container: Container, keys: Keys) -> None:
    names = {"laptop.secret", "server.public"}
    container.volume.write({name: (keys.of("laptop") / name).read_bytes() for name in names}, mode=0o440)
    code = (
        "import sys, pathlib\n"
        "from streamcam.transport.keys import client_keys\n"
        "print(client_keys(pathlib.Path(sys.argv[1])))"
    )
    command = [*container.command, sys.executable, "-c", code, str(container.inside)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ClientKeys(public=b'")


def test_a_private_key_that_the_whole_container_can_read_is_refused(container: Container, keys: Keys) -> None:
    """0644 is what Kubernetes makes of a Secret where nothing else is asked for."""
    container.volume.write(keys.secret("laptop"), mode=0o644)
    streamcam = [sys.executable, "-m", "streamcam", "run", "sample", "--bind", "tcp://127.0.0.1:*"]
    command = [*container.command, *streamcam, "--keys", str(container.inside)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{container.inside}/server.secret can be read by others" in line
    assert "defaultMode: 0440" in line
    assert "chmod" not in line  # nobody there could


def test_a_new_password_is_used_at_the_next_connection(tmp_path: Path, free_port: int, tiny: CamModel) -> None:
    volume, frames = SecretVolume(tmp_path / "secret"), list[Frame]()
    volume.write({"door": b"sesame"}, mode=0o440)
    login = {"username": "warden", "password_file": str(volume.folder / "door")}
    config = make_config({"sources": [{"uri": f"rtsp://127.0.0.1:{free_port}/live", **login}], "bind": None})
    with ExitStack() as stack:
        (source,) = assemble(config, stack, model=tiny).sources
        stop = stack.enter_context(stop_after(100))
        reader = Thread(target=lambda: frames.extend(source.frames(stop)))
        stack.callback(reader.join)
        stack.callback(stop.set)
        with rtsp_server(free_port, "--user", "warden", "--password", "sesame"):
            reader.start()
            eventually(lambda: source.status.kind == "live", "it is there", seconds=20)
        with rtsp_server(free_port, "--user", "warden", "--password", "open-barley"):
            eventually(lambda: "wrong or missing" in (source.status.reason or ""), "the old one is wrong", seconds=30)
            assert source.status.session == 0
            volume.write({"door": b"open-barley"}, mode=0o440)
            eventually(lambda: source.status.kind == "live", "the new one is right", seconds=30)
            assert source.status.session == 1
    assert {frame.session for frame in frames} == {0, 1}


def test_a_password_that_is_away_for_a_while_is_a_reason_and_no_end(
    tmp_path: Path, free_port: int, tiny: CamModel
) -> None:
    file = tmp_path / "door"
    file.write_text("sesame")
    login = {"username": "warden", "password_file": str(file)}
    config = make_config({"sources": [{"uri": f"rtsp://127.0.0.1:{free_port}/live", **login}], "bind": None})
    with ExitStack() as stack:
        (source,) = assemble(config, stack, model=tiny).sources
        file.unlink()
        stop = stack.enter_context(stop_after(100))
        reader = Thread(target=lambda: list(source.frames(stop)))
        stack.callback(reader.join)
        stack.callback(stop.set)
        reader.start()
        eventually(lambda: "cannot read password_file" in (source.status.reason or ""), "it says why", seconds=20)
        file.write_text("sesame")
        with rtsp_server(free_port, "--user", "warden", "--password", "sesame"):
            eventually(lambda: source.status.kind == "live", "it is there", seconds=30)
