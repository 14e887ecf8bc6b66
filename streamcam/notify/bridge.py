"""Subscribes to events and has them told: by MQTT, webhooks, commands and apprise."""

import fcntl
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from queue import Full, Queue
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING

from streamcam.config.notify import NotifyConfig, TargetConfig
from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.notify.command import CommandTarget
from streamcam.notify.outlet import Outlet
from streamcam.notify.spool import Spool
from streamcam.notify.target import Target
from streamcam.notify.webhook import WebhookTarget
from streamcam.transport.headers import Kind
from streamcam.transport.messages import Message
from streamcam.transport.subscriber import Subscriber

if TYPE_CHECKING:  # it needs an extra
    from streamcam.notify.mqtt import MqttTarget

log = logging.getLogger(__name__)

TICK_S = 0.25
MAX_INBOX = 10_000
"""Events that wait to be written to spools. A disk may take seconds for one, and ZeroMQ's queues are short."""
REST_S = 0.3
"""At the end, events that are on their way are awaited for so long."""
CLOSE_S = 5.0
"""At the end, the targets have so long for what waits."""


class Bridge:
    """The targets of a configuration, and the loop that gives them events. It belongs to one thread."""

    def __init__(self, config: NotifyConfig, *, spool: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Open all targets and spools. A target that is not there yet is no error.

        Args:
            config: who is told, and of what.
            spool: the folder where events wait; used by one bridge at a time.
            clock: gives seconds.

        Raises:
            StreamcamError: a secret, a program or an extra is missing, or the folder cannot be used.
        """
        self.counts: Counter[str] = Counter()
        """`received` events; those for which there was `no room`; and others, as `Subscriber.skipped` counts them."""
        self._mqtt: MqttTarget | None = None
        self._clock, self._close_by_s = clock, 0.0
        self._inbox: Queue[Event | None] = Queue(MAX_INBOX)
        self._writer = Thread(target=self._write, name="spools", daemon=True)
        self._error: BaseException | None = None
        with ExitStack() as stack:
            stack.enter_context(_locked(spool))
            self.outlets = [
                self._open(target, wanted, config, spool, stack) for target, wanted in self._targets(config, stack)
            ]
            names = Counter(outlet.target.name for outlet in self.outlets)
            for outlet in self.outlets:
                if names[outlet.target.name] > 1:
                    raise StreamcamError(f"{outlet.target.shown} is there twice: each event would be told it twice")
            self._stack = stack.pop_all()

    def run(self, endpoint: str, *, keys: Path | None, stop: Flag) -> None:
        """Receive events and have them told, until `stop` is set.

        Args:
            endpoint: where they are published.
            keys: the folder with this program's key and the publisher's public one.
            stop: set from a signal or another thread.

        Raises:
            StreamcamError: the endpoint or a key cannot be used.
            Exception: a target failed in a way that it should not.
        """
        kinds: tuple[Kind, ...] = ("event", "status") if self._mqtt is not None else ("event",)
        with Subscriber(endpoint, kinds=kinds, keys=keys) as subscriber:
            for outlet in self.outlets:
                outlet.start()
            self._writer.start()
            refused = None
            while not stop.is_set():
                self._receive(subscriber, stop)
                if subscriber.refused not in (None, refused):
                    log.warning("%s: %s", endpoint, subscriber.refused)
                refused = subscriber.refused
                self._check()
            for message in self._rest(subscriber):
                self._take(message)
            self.counts.update(subscriber.skipped)

    def summary(self) -> str:
        """Say in one line what was received and what became of it."""
        parts = [f"{self.counts['received']} events received"]
        parts += [f"{count} {why}" for why, count in sorted(self.counts.items()) if why != "received" and count]
        for outlet in self.outlets:
            told = [f"{outlet.counts['told']} told"]
            told += [f"{outlet.counts['refused']} refused"] if outlet.counts["refused"] else []
            told += [f"{outlet.spool.dropped} dropped"] if outlet.spool.dropped else []
            told += [f"{len(outlet.spool)} waiting"] if len(outlet.spool) else []
            parts.append(f"{outlet.target.shown}: {', '.join(told)}")
        return "; ".join(parts)

    def close(self) -> None:
        """Tell what can be told within seconds, and disconnect; the rest stays on disk. Closing twice is fine."""
        self._close_by_s = self._clock() + CLOSE_S  # all together
        if self._writer.is_alive():
            with suppress(Full):
                self._inbox.put(None, timeout=CLOSE_S)
                self._writer.join(CLOSE_S)
        for outlet in self.outlets:
            outlet.finish()
        self._stack.close()

    def __enter__(self) -> "Bridge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, subscriber: Subscriber, stop: Flag) -> None:
        """Take messages for a moment."""
        until_s = self._clock() + TICK_S
        for message in subscriber.messages(timeout_s=TICK_S):
            self._take(message)
            if stop.is_set() or self._clock() >= until_s:
                return

    def _rest(self, subscriber: Subscriber) -> Iterator[Message]:
        """Give the messages that are on their way, for a limited time: a publisher that goes on sends without end."""
        until_s = self._clock() + CLOSE_S
        for message in subscriber.messages(timeout_s=REST_S):
            yield message
            if self._clock() >= until_s:
                return

    def _take(self, message: Message) -> None:
        if message.event is not None:
            self.counts["received"] += 1
            try:
                self._inbox.put_nowait(message.event)
            except Full:
                self.counts["no room"] += 1
        elif message.header.kind == "status" and self._mqtt is not None:
            self._mqtt.on_status(message.header.source, message.header.data, publisher=message.header.publisher)

    def _write(self) -> None:
        """Queue events on disk, in a thread of its own."""
        try:
            while (event := self._inbox.get()) is not None:
                for outlet in self.outlets:
                    self._put(outlet, event)
        except BaseException as e:
            self._error = e

    def _put(self, outlet: Outlet, event: Event) -> None:
        try:
            outlet.put(event)
        except StreamcamError as e:  # the message was well-formed, and the event cannot be one
            self.counts["malformed"] += 1
            log.warning("%s", e)

    def _check(self) -> None:
        if self._mqtt is not None:
            self._mqtt.tick()
        for error in (self._error, *(outlet.error for outlet in self.outlets)):
            if error is not None:
                raise error

    def _targets(self, config: NotifyConfig, stack: ExitStack) -> Iterator[tuple[Target, TargetConfig]]:
        for webhook in config.webhooks:
            yield WebhookTarget(webhook), webhook
        for command in config.commands:
            yield CommandTarget(command), command
        for service in config.apprise:
            from streamcam.notify.apprise_target import AppriseTarget

            yield AppriseTarget(service, event_folder=config.event_folder), service
        if config.mqtt is not None:  # the last, since it begins to connect
            self._mqtt = _open_mqtt(config)
            stack.callback(self._mqtt.close)
            yield self._mqtt, config.mqtt

    def _open(
        self, target: Target, wanted: TargetConfig, config: NotifyConfig, folder: Path, stack: ExitStack
    ) -> Outlet:
        spool = Spool(folder / f"{target.name}.sqlite3", most=config.spool_records)
        outlet = Outlet(target, spool, wanted)
        stack.callback(lambda: outlet.close(until_s=self._close_by_s))
        return outlet


def default_spool(endpoint: str) -> Path:
    """Return the folder where the events of an endpoint wait, unless told otherwise."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "streamcam" / f"spool-{sha256(endpoint.encode()).hexdigest()[:12]}"


def shown_targets(outlets: Sequence[Outlet]) -> str:
    """Name all who are told, for people."""
    return ", ".join(outlet.target.shown for outlet in outlets)


def _open_mqtt(config: NotifyConfig) -> "MqttTarget":
    try:
        from streamcam.notify.mqtt import MqttTarget
    except ModuleNotFoundError as e:
        if e.name is None or not e.name.startswith("paho"):
            raise
        raise StreamcamError("paho-mqtt is missing: pip install 'streamcam[mqtt]'") from None
    assert config.mqtt is not None
    return MqttTarget(config.mqtt, event_folder=config.event_folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others from using a folder: two bridges would tell everything twice."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as e:
        raise StreamcamError(f"cannot use the spool folder {folder}: {e.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StreamcamError(f"another streamcam notify uses {folder}: give this one a --spool") from None
        yield
