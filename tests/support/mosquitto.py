"""A real MQTT broker that can be killed, and a client that collects what it sends."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.ports import unused_port
from tests.support.publish_demo import eventually

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


@dataclass
class Broker:
    """A mosquitto of its own, which keeps sessions and retained messages on disk."""

    folder: Path
    lines: Sequence[str] = ("allow_anonymous true",)
    port: int = field(default_factory=unused_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        config = self.folder / "mosquitto.conf"
        kept = ["persistence true", f"persistence_location {self.folder}/", "user root", "max_queued_messages 0"]
        config.write_text("\n".join([f"listener {self.port} 127.0.0.1", *kept, *self.lines, ""]))
        self.process = subprocess.Popen([MOSQUITTO, "-c", config], stderr=subprocess.DEVNULL)
        eventually(self.answers, "mosquitto listens", seconds=20)

    def answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def save(self) -> None:
        """Have sessions written to disk now."""
        assert self.process is not None
        stored = self.folder / "mosquitto.db"
        before = stored.stat().st_mtime_ns if stored.exists() else 0
        self.process.send_signal(signal.SIGUSR1)
        eventually(lambda: stored.exists() and stored.stat().st_mtime_ns > before, "sessions are saved")

    def stop(self) -> None:
        """End it as an administrator would: sessions are saved."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)
        self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def broker(folder: Path, *lines: str) -> Iterator[Broker]:
    made = Broker(folder, lines or ("allow_anonymous true",))
    made.start()
    try:
        yield made
    finally:
        made.kill()


@dataclass
class Received:
    """What has come, in order: the newest of each topic, and all that was not retained."""

    newest: dict[str, bytes] = field(default_factory=dict)
    live: list[tuple[str, bytes]] = field(default_factory=list)

    def take(self, message: MQTTMessage) -> None:
        self.newest[message.topic] = bytes(message.payload)
        if not message.retain:
            self.live.append((message.topic, bytes(message.payload)))

    def of(self, suffix: str) -> list[bytes]:
        return [content for topic, content in self.live if topic.endswith(suffix)]


@contextmanager
def receiver(broker: Broker, topic: str = "#", *, login: tuple[str, str] | None = None) -> Iterator[Received]:
    """A subscriber with QoS 1, whose session outlives its connections."""
    received, subscribed = Received(), []
    client = Client(CallbackAPIVersion.VERSION2, client_id="receiver", clean_session=False)
    if login is not None:
        client.username_pw_set(*login)
    client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
    client.on_subscribe = lambda *_: subscribed.append(True)
    client.on_message = lambda _client, _data, message: received.take(message)
    client.reconnect_delay_set(1, 1)
    client.connect_async("127.0.0.1", broker.port)
    client.loop_start()
    try:
        eventually(lambda: bool(subscribed), "the receiver is subscribed")
        yield received
    finally:
        client.disconnect()
        client.loop_stop()
