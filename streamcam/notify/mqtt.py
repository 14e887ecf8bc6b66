"""Tells an MQTT broker, and through it Home Assistant."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock

from streamcam.config.notify import MqttConfig
from streamcam.event import Event
from streamcam.events.event_json import encode_event
from streamcam.notify.homeassistant import (
    OFF,
    OFFLINE,
    ON,
    ONLINE,
    Topics,
    announce_camera,
    announce_rule,
    bridge_topic,
)
from streamcam.notify.mqtt_connection import MqttConnection, Publication
from streamcam.notify.snapshot import read_snapshot

STATUS_MISSING_S = 10.0
"""A camera of which no status has come for so long is offline: its publisher is gone."""

FPS_EVERY_S = 10.0

MAX_RETAINED = 10_000
"""So many topics are published again after a reconnect; later ones are not."""


@dataclass(slots=True)
class _Camera:
    publisher: str
    seen_s: float
    told_fps_s: float = float("-inf")


class MqttTarget:
    """Publishes events with QoS 1, and keeps Home Assistant informed of cameras."""

    name = "mqtt"
    at_once = 50
    backoff_max_s = 1.0  # the connection has a backoff of its own: once it is there, nothing is to wait

    def __init__(
        self, config: MqttConfig, *, event_folder: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start to connect; the broker may come later. `clock` gives seconds.

        Raises:
            StreamcamError: the password or the certificates cannot be read.
        """
        self._prefix, self._announces = config.prefix, config.discovery != "none"
        self._folder, self._clock = event_folder, clock
        # What the broker should know, by topic: a broker that has lost its memory is told again.
        self._retained: dict[str, bytes] = {bridge_topic(config.prefix): ONLINE}
        self._cameras: dict[str, _Camera] = {}
        self._announced: set[tuple[str, ...]] = set()
        self._lock = Lock()  # of what is retained, and of the order in which that is published
        will = Publication(bridge_topic(config.prefix), OFFLINE)
        self._connection = MqttConnection(config, will=will, greet=self._greet)
        self.shown = self._connection.shown
        self._connection.start()

    def tell(self, events: Sequence[Event]) -> None:
        """Publish events, and wait for the broker."""
        for event in events:
            self._announce(event.source, [event.rule])
        batch = {(event.id, event.state, event.pts_s): self._publications(event) for event in events}
        self._connection.send(batch)
        with self._lock:
            for publication in chain.from_iterable(batch.values()):
                if not publication.topic.endswith(("/event", "/snapshot")):  # none twice, and too large to keep
                    self._retain(publication)

    def on_status(self, source: str, data: Mapping[str, object], *, publisher: str) -> None:
        """Take the state of a camera: it is online while it is live, or only slow.

        Args:
            source: the camera.
            data: of its status message. `rules`, if it is there, names its rules, with commas in between.
            publisher: who sends it, random for each start.
        """
        now_s = self._clock()
        camera = self._cameras.setdefault(source, _Camera(publisher, now_s))
        if camera.publisher != publisher:
            self._end_all(source)
        camera.publisher, camera.seen_s = publisher, now_s
        rules = data.get("rules")
        self._announce(source, rules.split(",") if isinstance(rules, str) and rules else [])
        self._tell_availability(source, is_online=data.get("state") in ("live", "stalled"))
        fps = data.get("fps")
        if isinstance(fps, int | float) and now_s - camera.told_fps_s >= FPS_EVERY_S:
            camera.told_fps_s = now_s
            self._change(Publication(Topics(self._prefix, source).camera("fps"), f"{fps:.1f}".encode()))

    def tick(self) -> None:
        """Take cameras offline whose status is missing. Call it about once a second."""
        now_s = self._clock()
        missing = [name for name, camera in self._cameras.items() if now_s - camera.seen_s > STATUS_MISSING_S]
        for source in missing:
            self._tell_availability(source, is_online=False)
            del self._cameras[source]

    def close(self) -> None:
        """Say that the bridge is offline, and disconnect. Closing twice is fine."""
        self._connection.close()

    def _publications(self, event: Event) -> list[Publication]:
        """List what an event changes. Its record comes before the state, which starts automations that read it."""
        topics = Topics(self._prefix, event.source)
        found = [Publication(topics.event(event.rule), encode_event(event))]
        if event.state != "saved":
            found.append(Publication(topics.camera("class"), event.label.encode()))
            found.append(Publication(topics.rule(event.rule), OFF if event.state == "end" else ON))
        snapshot = read_snapshot(event, self._folder)
        if snapshot is not None:
            found.append(Publication(topics.camera("snapshot"), snapshot))
        return found

    def _announce(self, source: str, rules: Sequence[str]) -> None:
        """Announce a camera and rules, unless they have been."""
        new = {(source,), *((source, rule) for rule in rules)} - self._announced
        if not new or not self._announces or len(self._announced) >= MAX_RETAINED:
            return
        self._announced |= new
        topics = Topics(self._prefix, source)
        for _, *rule in sorted(new):
            for topic, content in (announce_rule(topics, rule[0]) if rule else announce_camera(topics)).items():
                self._change(Publication(topic, content))

    def _end_all(self, source: str) -> None:
        """Turn off what was on when a publisher was killed: nobody else will say that it is over."""
        with self._lock:
            on = [topic for topic, content in self._retained.items() if content == ON]
        for topic in on:
            if topic.startswith(f"{self._prefix}/{source}/"):
                self._change(Publication(topic, OFF))

    def _tell_availability(self, source: str, *, is_online: bool) -> None:
        topic = Topics(self._prefix, source).camera("availability")
        self._change(Publication(topic, ONLINE if is_online else OFFLINE))

    def _change(self, publication: Publication) -> None:
        """Publish what is not known yet."""
        with self._lock:
            if self._retain(publication):
                self._connection.tell_now(publication)

    def _retain(self, publication: Publication) -> bool:
        """Note what the broker should know, while the lock is held; return whether that is new."""
        if publication.topic not in self._retained and len(self._retained) >= MAX_RETAINED:
            return True
        is_new = self._retained.get(publication.topic) != publication.content
        self._retained[publication.topic] = publication.content
        return is_new

    def _greet(self) -> None:
        with self._lock:  # else what changes meanwhile might come first, and what it was would replace it
            for topic, content in self._retained.items():
                self._connection.tell_now(Publication(topic, content))
