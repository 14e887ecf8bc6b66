"""Keys: who holds one that is listed may watch, and nobody else sees a byte of a message."""

import logging
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.auth import load_certificate

from streamcam.config import make_config
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.runtime.app import assemble, run
from streamcam.transport.keys import client_keys, default_folder, make_keys, read_public, server_keys
from streamcam.transport.publisher import Publisher
from streamcam.transport.subscriber import Subscriber
from tests.support.commands import streamcam
from tests.support.proxy import way_to
from tests.support.publish_demo import eventually, result_of

ANY_PORT = "tcp://127.0.0.1:*"


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """The publisher's folder."""
    make_keys("server", tmp_path / "server")
    return tmp_path / "server"


def new_client(server: Path, name: str, *, listed: bool = True) -> Path:
    """The folder of somebody who is to watch."""
    folder = server.parent / name
    public, _ = make_keys(name, folder)
    shutil.copy(server / "server.public", folder)
    if listed:
        shutil.copy(public, server / "clients")
    return folder


@pytest.fixture
def laptop(server: Path) -> Path:
    return new_client(server, "laptop")


class Sending:
    """A publisher that sends results, in a thread of its own, until it is closed."""

    def __init__(self, endpoint: str, keys: Path) -> None:
        self._ready, self._stop, self.endpoint, self.wanted = threading.Event(), threading.Event(), "", False
        self._thread = threading.Thread(target=self._run, args=(endpoint, keys))
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self, endpoint: str, keys: Path) -> None:
        with Publisher(endpoint, keys=keys) as publisher:
            self.endpoint = publisher.endpoint
            self._ready.set()
            publisher.send_directory(["demo"])
            for index in range(1_000_000):
                if self._stop.wait(0.02):
                    return
                publisher.serve()
                publisher.send_result(result_of(index, cells=30))
                self.wanted = self.wanted or publisher.wants("demo", "result") or publisher.wants("demo", "frame")

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@contextmanager
def sending(endpoint: str, keys: Path) -> Iterator[Sending]:
    publisher = Sending(endpoint, keys)
    try:
        yield publisher
    finally:
        publisher.close()


def received(endpoint: str, keys: Path | None, *, seconds: float = 10.0) -> int:
    """How many results come, up to two."""
    with Subscriber(endpoint, keys=keys, sources=["demo"]) as subscriber:
        return len(list(islice(subscriber.messages(timeout_s=seconds), 2)))


def test_a_private_key_is_for_its_owner_alone_from_its_first_byte(tmp_path: Path) -> None:
    """Whatever files are made with otherwise, and as the system saw it made."""
    code = "import os, sys; os.umask(0); from streamcam.cli.main import main; main()"
    folder = tmp_path / "a" / "keys"
    command = [sys.executable, "-c", code, "keys", "new", "laptop", "--keys", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert mode_of(folder) == 0o700
    assert mode_of(folder / "laptop.secret") == 0o600
    made: list[int] = []

    def hook(event: str, args: tuple[object, ...]) -> None:
        if recording and event == "open" and str(args[0]).endswith("tablet.secret"):
            assert isinstance(args[2], int)
            made.append(args[2])

    recording = True
    sys.addaudithook(hook)
    old = os.umask(0)
    try:
        make_keys("tablet", folder)
    finally:
        os.umask(old)
        recording = False
    assert mode_of(folder / "tablet.secret") == 0o600
    assert len(made) == 1  # opened once, exclusively: never wider, never changed afterwards
    assert made[0] & os.O_EXCL


def test_keys_are_certificates_of_zeromq(server: Path) -> None:
    public, secret = load_certificate(server / "server.secret")
    assert load_certificate(server / "server.public") == (public, None)
    assert secret is not None
    assert zmq.curve_public(secret) == public


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    public, secret = make_keys("laptop", tmp_path)
    before = public.read_bytes(), secret.read_bytes()
    with pytest.raises(StreamcamError, match="is there already"):
        make_keys("laptop", tmp_path)
    assert (public.read_bytes(), secret.read_bytes()) == before
    secret.unlink()
    with pytest.raises(StreamcamError, match=r"laptop\.public is there already"):
        make_keys("laptop", tmp_path)
    assert list(tmp_path.iterdir()) == [public]


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "ä", "x" * 65, "\x1b[2J"])
def test_a_name_that_cannot_be_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match="expected a name") as caught:
        make_keys(name, tmp_path / "keys")
    assert "\x1b" not in str(caught.value)
    assert not (tmp_path / "keys").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StreamcamError, match="cannot write"):
        make_keys("laptop", tmp_path / "file" / "keys")


def test_the_usual_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "streamcam" / "keys"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_folder() == Path.home() / ".config" / "streamcam" / "keys"


@pytest.mark.parametrize("endpoint", ["tcp", "ipc"])
def test_who_is_listed_may_watch(endpoint: str, server: Path, laptop: Path) -> None:
    with sending(ANY_PORT if endpoint == "tcp" else f"ipc://{server.parent}/s", server) as publisher:
        assert received(publisher.endpoint, laptop) == 2


@pytest.mark.parametrize("who", ["without keys", "unlisted", "with another publisher's key"])
def test_who_is_not_listed_sees_no_byte_and_is_not_heard(who: str, server: Path, laptop: Path) -> None:
    keys: Path | None = None
    if who == "unlisted":
        keys = new_client(server, "stranger", listed=False)
    elif who == "with another publisher's key":
        keys = new_client(server, "misled")
        other, _ = make_keys("server", server.parent / "other")
        shutil.copy(other, keys)
    with sending(ANY_PORT, server) as publisher, way_to(publisher.endpoint) as way:
        assert received(way.endpoint, keys, seconds=2.5) == 0
        # Greetings and handshakes of each attempt: neither a message (15 kB) nor a piece of one.
        assert 0 < len(way.answers) < 4000
        assert b"sc1/" not in way.answers
        assert not publisher.wanted
        assert received(publisher.endpoint, laptop) == 2
        eventually(lambda: publisher.wanted, "who is listed is heard")


def test_what_passes_cannot_be_read_on_the_way(server: Path, laptop: Path) -> None:
    with sending(ANY_PORT, server) as publisher, way_to(publisher.endpoint) as way:
        assert received(way.endpoint, laptop) == 2
        assert len(way.answers) > 4000
        for word in (b"sc1/", b"streamcam", b"teapot", b"demo"):
            assert word not in way.answers


def test_the_list_can_be_changed_while_it_runs(server: Path, laptop: Path) -> None:
    """Who has been refused goes on asking, with the same object."""
    with sending(ANY_PORT, server) as publisher:
        tablet = new_client(server, "tablet", listed=False)
        with Subscriber(publisher.endpoint, keys=tablet, sources=["demo"]) as subscriber:
            assert list(subscriber.messages(timeout_s=1.5)) == []
            assert subscriber.refused is not None
            assert "does not list your key" in subscriber.refused
            shutil.copy(tablet / "tablet.public", server / "clients")
            (server / "clients" / "a.public").write_text("not a key")  # which shuts nobody out
            assert len(list(islice(subscriber.messages(timeout_s=10), 2))) == 2
            assert subscriber.refused is None
        (server / "clients" / "tablet.public").unlink()
        assert received(publisher.endpoint, tablet, seconds=1) == 0
        assert received(publisher.endpoint, laptop) == 2


@pytest.mark.parametrize("publisher_has_keys", [True, False])
def test_who_has_keys_where_the_other_has_none_is_told(publisher_has_keys: bool, server: Path, laptop: Path) -> None:
    told = "has it keys? You have none (see --keys)" if publisher_has_keys else "has it keys at all"
    with (
        Publisher(ANY_PORT, keys=server if publisher_has_keys else None) as publisher,
        Subscriber(publisher.endpoint, keys=None if publisher_has_keys else laptop) as subscriber,
    ):
        eventually(
            lambda: list(subscriber.messages(timeout_s=0.05)) or told in str(subscriber.refused),
            "it is said",
        )


def test_who_has_the_wrong_publishers_key_is_told(server: Path) -> None:
    misled = new_client(server, "misled")
    shutil.copy(make_keys("server", server.parent / "other")[0], misled)
    with Publisher(ANY_PORT, keys=server) as publisher, Subscriber(publisher.endpoint, keys=misled) as subscriber:
        eventually(
            lambda: list(subscriber.messages(timeout_s=0.05)) or "server.public" in str(subscriber.refused),
            "it is said",
        )


def test_where_nobody_answers_for_clients_none_is_let_in(server: Path, laptop: Path) -> None:
    """Without its authenticator, ZeroMQ by itself would let in everybody who knows the publisher's public key."""
    with Publisher(ANY_PORT, keys=server) as publisher, Subscriber(publisher.endpoint, keys=laptop) as subscriber:
        assert publisher._authenticator is not None
        publisher._authenticator.stop()
        publisher.send_directory(["demo"])
        for _ in range(30):
            publisher.serve()
            assert list(subscriber.messages(timeout_s=0.05)) == []
        assert not publisher._subscriptions


def test_closing_leaves_no_thread_and_no_file_open(server: Path, laptop: Path) -> None:
    def open_now() -> tuple[int, int]:
        return psutil.Process().num_fds(), psutil.Process().num_threads()

    with Publisher(ANY_PORT, keys=server):
        pass
    seen = []
    for _ in range(10):  # a thread that has been joined counts for some moments more
        seen.append(open_now())
        time.sleep(0.05)
    before = min(seen)
    for _ in range(3):
        with Publisher(ANY_PORT, keys=server) as publisher, Subscriber(publisher.endpoint, keys=laptop):
            assert open_now() > before
        publisher.close()
    eventually(lambda: open_now() == before, "all is closed")
    taken = Publisher(ANY_PORT)
    try:
        with pytest.raises(StreamcamError, match="another program serves it"):
            Publisher(taken.endpoint, keys=server)
    finally:
        taken.close()
    eventually(lambda: open_now() == before, "what failed is closed as well")


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:*", "tcp://*:*"])
def test_with_keys_other_machines_may_be_let_in(endpoint: str, server: Path, laptop: Path) -> None:
    with sending(endpoint, server) as publisher:
        assert received(publisher.endpoint.replace("0.0.0.0", "127.0.0.1"), laptop) == 2


def test_a_refused_address_says_which_command_makes_keys() -> None:
    with pytest.raises(StreamcamError, match=r"`streamcam keys new server` and add `--keys /.*streamcam/keys`"):
        Publisher("tcp://0.0.0.0:*")


def test_no_private_key_is_shown(server: Path, laptop: Path, caplog: pytest.LogCaptureFixture) -> None:
    secrets = [load_certificate(f)[1] for f in (server / "server.secret", laptop / "laptop.secret")]
    with caplog.at_level(logging.DEBUG), sending(ANY_PORT, server) as publisher:
        assert received(publisher.endpoint, laptop) == 2
    texts = [caplog.text, repr(server_keys(server)), repr(client_keys(laptop))]
    for path in (server / "server.secret", laptop / "laptop.secret"):
        path.write_text(path.read_text().replace("secret-key", "secret-kez"))
        with pytest.raises(StreamcamError) as caught:
            server_keys(server) if path.stem == "server" else client_keys(laptop)
        texts.append(str(caught.value))
    for secret in secrets:
        assert secret is not None
        assert not any(secret.decode() in text for text in texts)


def one_line(caught: pytest.ExceptionInfo[StreamcamError]) -> bool:
    return "\n" not in str(caught.value)


def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match=r"no folder of keys: .*streamcam keys new NAME --keys"):
        server_keys(tmp_path / "none")
    make_keys("laptop", tmp_path)
    with pytest.raises(StreamcamError, match=r"holds no server\.secret: streamcam keys new server --keys"):
        server_keys(tmp_path)
    with pytest.raises(StreamcamError, match=r"holds no server\.public: copy it from the keys folder of the publisher"):
        client_keys(tmp_path)
    make_keys("tablet", tmp_path)
    with pytest.raises(StreamcamError, match=r"several keys .*laptop\.secret, tablet\.secret.*leave one"):
        client_keys(tmp_path)
    make_keys("server", tmp_path / "server")
    with pytest.raises(StreamcamError, match=r"no key to watch with: streamcam keys new NAME"):
        client_keys(tmp_path / "server")


def test_what_others_could_read_or_change_is_refused(server: Path, laptop: Path) -> None:
    (server / "server.secret").chmod(0o640)
    with pytest.raises(StreamcamError, match=r"server\.secret can be read by others: chmod go-rwx"):
        server_keys(server)
    (server / "server.secret").chmod(0o600)
    (server / "clients").chmod(0o777)
    with pytest.raises(StreamcamError, match=r"clients can be written to by others: chmod go-w"):
        server_keys(server)
    (laptop / "server.public").chmod(0o666)
    with pytest.raises(StreamcamError, match=r"server\.public can be written to by others"):
        client_keys(laptop)
    laptop.chmod(0o770)
    with pytest.raises(StreamcamError, match=r"laptop can be written to by others"):
        client_keys(laptop)


def test_a_read_only_mount_may_be_read_by_its_group(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a Secret comes into a container: nobody there could change its mode."""
    monkeypatch.setattr("streamcam.transport.keys.os.statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    (server / "clients").chmod(0o777)
    (server / "server.secret").chmod(0o440)
    assert server_keys(server).public == load_certificate(server / "server.secret")[0]
    (server / "server.secret").chmod(0o444)
    with pytest.raises(StreamcamError, match=r"server\.secret can be read by others"):
        server_keys(server)


def test_what_others_could_change_later_on_lets_nobody_in(
    server: Path, laptop: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = server_keys(server)
    tablet = read_public(new_client(server, "tablet") / "tablet.public")
    (server / "clients" / "tablet.public").chmod(0o664)
    assert not keys.admits(tablet)
    assert not keys.admits(tablet)
    (message,) = caplog.messages
    assert "tablet.public can be written to by others: chmod go-w" in message
    assert "\n" not in message
    caplog.clear()
    assert keys.admits(client_keys(laptop).public)
    (server / "clients").chmod(0o777)
    assert not keys.admits(client_keys(laptop).public)
    assert "clients can be written to by others" in caplog.text


def test_a_key_that_could_not_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """As on a full disk: the file is there, and the write fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(StreamcamError, match="cannot write"):
            make_keys("laptop", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_private_key_among_the_clients_is_told_from_a_public_one(server: Path, laptop: Path) -> None:
    shutil.copy(laptop / "laptop.secret", server / "clients" / "laptop.public")
    with pytest.raises(StreamcamError, match=r"holds a private key, which stays where it was made: copy its \.public"):
        server_keys(server)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"curve\n    public-key = \"short\"\n",
        b'curve\n    public-key = "' + b"~" * 40 + b'"\n',
        b'curve\n    public-key = "' + b"#" * 40 + b'"\n',
        b'    secret-key = "' + b"x" * 40 + b'"\n',
        (b'    public-key = "' + b"x" * 40 + b'"\n') * 2,
        b'    public-key = "' + b"x" * 40 + b'"\n    secret-key = "' + b"y" * 40 + b'"\n',
        b"\xff\x00" * 50,
        b'    public-key = "' + b"x" * 40 + b'"\n' + b"#" * 5000,
        b'    public-key = "' + b"x" * 1_000_000 + b'"\n',
    ],
)  # fmt: skip
def test_a_malformed_key_file_is_one_clear_line(content: bytes, server: Path, laptop: Path) -> None:
    for path in (server / "server.secret", server / "clients" / "laptop.public"):
        before = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(StreamcamError) as caught:
            server_keys(server)
        assert one_line(caught)
        assert str(path) in str(caught.value)
        path.write_bytes(before)


def test_a_key_that_is_no_file_is_one_clear_line(server: Path, laptop: Path) -> None:
    (laptop / "server.public").unlink()
    (laptop / "server.public").mkdir()
    with pytest.raises(StreamcamError, match="is not a file"):
        client_keys(laptop)
    (server / "clients" / "pipe.public").symlink_to("/dev/zero")
    with pytest.raises(StreamcamError, match=r"pipe\.public"):
        server_keys(server)


@given(content=st.binary(max_size=200) | st.text(max_size=100).map(lambda t: f'public-key = "{t}"\n'.encode()))
def test_whatever_is_in_a_key_file_is_a_key_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "k.public"
    path.write_bytes(content)
    path.chmod(0o600)
    try:
        assert len(read_public(path)) == 40
    except StreamcamError as e:
        assert "\n" not in str(e)


def test_both_sides_set_up_by_the_commands_that_are_told(tmp_path: Path) -> None:
    """What the command line says to do is done, word for word, and then it works."""

    def keys_new(name: str, folder: str) -> str:
        return streamcam("keys", "new", name, "--keys", tmp_path / folder).stdout

    said = keys_new("server", "door") + keys_new("laptop", "mine")
    assert f"streamcam run SOURCE --bind 'tcp://*:5555' --keys {tmp_path}/door" in said
    assert f"streamcam view tcp://HOST:5555 --keys {tmp_path}/mine" in said
    shutil.copy(tmp_path / "mine" / "laptop.public", tmp_path / "door" / "clients")
    shutil.copy(tmp_path / "door" / "server.public", tmp_path / "mine")
    with sending("tcp://127.0.0.1:*", tmp_path / "door") as publisher:
        seen = streamcam("view", publisher.endpoint, "--print", "--seconds", "3", "--keys", tmp_path / "mine")
    assert "teapot" in seen.stdout


def test_a_run_with_keys_is_watched_with_keys_alone(server: Path, laptop: Path, tiny: CamModel) -> None:
    config = make_config({"sources": ["sample"], "bind": "tcp://*:*", "keys": str(server), "loop": True})
    with ExitStack() as stack:
        live = assemble(config, stack, model=tiny)
        assert live.endpoint is not None
        thread = threading.Thread(target=run, args=(live,))
        thread.start()
        try:
            endpoint = live.endpoint.replace("0.0.0.0", "127.0.0.1")
            with Subscriber(endpoint, keys=laptop) as subscriber:
                assert len(list(islice(subscriber.messages(timeout_s=20), 2))) == 2
            with Subscriber(endpoint) as stranger:
                assert list(stranger.messages(timeout_s=1)) == []
        finally:
            live.pipeline.stop.set()
            thread.join()


def test_a_run_says_before_anything_is_opened_that_it_has_no_keys(tmp_path: Path, tiny: CamModel) -> None:
    for keys, message in ((None, "streamcam keys new server"), (str(tmp_path), r"holds no server\.secret")):
        config = make_config({"sources": ["nothing.mp4"], "bind": "tcp://*:*", "keys": keys})
        with ExitStack() as stack, pytest.raises(StreamcamError, match=message):
            assemble(config, stack, model=tiny)
