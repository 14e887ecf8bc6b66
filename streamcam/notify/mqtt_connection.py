"""A connection to an MQTT broker that is made again for ever, and knows what the broker has acknowledged."""

import logging
import ssl
import sys
import uuid
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from threading import Condition, Event
from typing import Any, TypeVar

from paho.mqtt.client import MQTT_LOG_ERR, Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from streamcam.config.notify import MqttConfig
from streamcam.errors import StreamcamError, first_line
from streamcam.notify.target import TryAgainError

log = logging.getLogger(__name__)
Key = TypeVar("Key", bound=Hashable)

KEEPALIVE_S = 20
RECONNECT_S, RECONNECT_MAX_S = 1, 30
ACKNOWLEDGE_S = 10.0
CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Publication:
    """A message to an MQTT broker, which keeps the last of each topic."""

    topic: str
    content: bytes


class MqttConnection:
    """Publishes with QoS 1 what has to arrive, and with QoS 0 what is true for the moment only."""

    def __init__(self, config: MqttConfig, *, will: Publication, greet: Callable[[], None]) -> None:
        """Prepare to connect.

        Args:
            config: where it is, and how to log in.
            will: published by the broker when this process is gone, and here at the end.
            greet: called at each connection, from another thread, to `tell_now` what the broker should know.

        Raises:
            StreamcamError: the password or the certificates cannot be read.
        """
        self.shown = f"mqtt {config.host}:{config.port_or_default}"
        self._will, self._greet = will, greet
        self._acknowledged: set[int] = set()
        self._sent: dict[Any, set[int]] = {}
        self._changed = Condition()
        self._is_up = Event()
        self._closed = False
        self._problem: str | None = None
        self._client = _make_client(config)
        self._client.will_set(will.topic, will.content, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.connect_async(config.host, config.port_or_default, keepalive=KEEPALIVE_S)

    def start(self) -> None:
        """Begin to connect; the broker may come later."""
        self._client.loop_start()

    def send(self, batch: Mapping[Key, Sequence[Publication]]) -> None:
        """Publish, and wait until the broker has acknowledged all of it.

        What has been published once under its key is not published again, but waited for: the client itself sends it
        again after a reconnect.

        Raises:
            TryAgainError: the broker is not there, or does not answer. Call it again with the same keys.
        """
        if not self._is_up.is_set():
            raise TryAgainError(self._problem or "not connected yet", logged=True)
        if not self._sent:
            self._acknowledged.clear()  # numbers of QoS 0, which would be given again one day
        for key, publications in batch.items():
            if key not in self._sent:
                self._sent[key] = {self._publish(one, qos=1) for one in publications}
        wanted = {number for key in batch for number in self._sent[key]}
        with self._changed:
            arrived = self._changed.wait_for(
                lambda: wanted <= self._acknowledged or not self._is_up.is_set(), ACKNOWLEDGE_S
            )
        if not wanted <= self._acknowledged:
            raise TryAgainError("the connection is lost" if arrived else "it does not acknowledge", logged=arrived)
        self._sent = {key: numbers for key, numbers in self._sent.items() if not numbers <= self._acknowledged}

    def tell_now(self, publication: Publication) -> None:
        """Publish with QoS 0 if the broker is there. It never waits."""
        if self._is_up.is_set():
            self._publish(publication, qos=0)

    def close(self) -> None:
        """Publish the will, and disconnect; it takes two seconds at most. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        if self._is_up.is_set():
            self._publish(self._will, qos=0)
            self._client.disconnect()
            with self._changed:
                self._changed.wait_for(lambda: not self._is_up.is_set(), CLOSE_S)
        if not self._is_up.is_set():  # else its thread would wait for the broker without end; it is a daemon
            if self._client.socket() is not None:
                self._client.disconnect()
            self._client.loop_stop()

    def _publish(self, publication: Publication, *, qos: int) -> int:
        info = self._client.publish(publication.topic, publication.content, qos=qos, retain=True)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise TryAgainError("too much is not acknowledged yet")
        return info.mid

    def _on_connect(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.is_failure:
            self._note(f"it refuses this client: {reason} (see username, password_file, password_env)")
            return
        if self._problem is not None:
            log.info("%s is there", self.shown)
        self._problem = None
        self._is_up.set()
        self._greet()

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        error = sys.exc_info()[1]  # the client calls this where it has caught the error
        self._note("no connection" if error is None else first_line(error))

    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        with self._changed:
            was_up = self._is_up.is_set()
            self._is_up.clear()
            self._changed.notify_all()
        if was_up and not self._closed:
            self._note(f"the connection is lost ({reason})")

    def _on_publish(self, _client: Client, _data: Any, number: int, _reason: ReasonCode, _properties: Any) -> None:
        with self._changed:
            self._acknowledged.add(number)
            self._changed.notify_all()

    def _note(self, problem: str) -> None:
        """Log a problem, if it is another than last time."""
        if problem != self._problem:
            log.warning("%s: %s; trying again", self.shown, problem)
        self._problem = problem


def _log_exceptions(_client: Client, _data: Any, level: int, text: str) -> None:
    """Log what a callback has raised. The rest of what the client says is noted here already."""
    if level == MQTT_LOG_ERR and "exception" in text:
        log.error("%s", text)


def _make_client(config: MqttConfig) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"streamcam-{uuid.uuid4().hex[:12]}")
    client.suppress_exceptions = True  # one in a callback would end the client's thread
    client.on_log = _log_exceptions
    client.reconnect_delay_set(RECONNECT_S, RECONNECT_MAX_S)
    client.max_inflight_messages_set(200)
    password = config.password()
    if config.username is not None:
        client.username_pw_set(config.username, password)
    if config.tls:
        try:
            client.tls_set_context(ssl.create_default_context(cafile=config.ca_file))
        except OSError as e:
            raise StreamcamError(f"cannot read the certificates in ca_file {config.ca_file}: {first_line(e)}") from None
    return client
