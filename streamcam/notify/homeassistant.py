"""MQTT topics, and what Home Assistant is told of them: https://www.home-assistant.io/integrations/mqtt/ (discovery).

    <prefix>/status                          online or offline: this bridge
    <prefix>/<source>/<rule>                 ON or OFF
    <prefix>/<source>/<rule>/event           the newest record of an event, as JSON
    <prefix>/<source>/_camera/availability   online or offline: the camera
    <prefix>/<source>/_camera/fps            frames a second
    <prefix>/<source>/_camera/class          the class of the last event
    <prefix>/<source>/_camera/snapshot       the last event's picture, JPEG

No rule's name begins with `_`, so `_camera` is none.
"""

import re
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import msgspec

DISCOVERY = "homeassistant"

ONLINE, OFFLINE = b"online", b"offline"
ON, OFF = b"ON", b"OFF"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one source."""

    prefix: str
    source: str

    @property
    def bridge(self) -> str:
        """Whether the bridge is there."""
        return bridge_topic(self.prefix)

    def camera(self, what: str) -> str:
        """Something of the camera: availability, fps, class or snapshot."""
        return f"{self.prefix}/{self.source}/_camera/{what}"

    def rule(self, rule: str) -> str:
        """Whether a rule's event goes on."""
        return f"{self.prefix}/{self.source}/{rule}"

    def event(self, rule: str) -> str:
        """The newest record of a rule's events."""
        return f"{self.prefix}/{self.source}/{rule}/event"

    @property
    def node(self) -> str:
        """The camera's id for Home Assistant, which allows letters, digits, `_` and `-` only."""
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", self.source)
        other = "" if plain == self.source else f"_{sha256(self.source.encode()).hexdigest()[:6]}"
        return f"{self.prefix}_{plain}{other}"


def bridge_topic(prefix: str) -> str:
    """Return the topic that says whether the bridge is there; it is also that of its last will."""
    return f"{prefix}/status"


def announce_camera(topics: Topics) -> dict[str, bytes]:
    """Return topics and contents that announce a camera: fps, class and snapshot."""
    fps = {
        "name": "fps",
        "state_topic": topics.camera("fps"),
        "unit_of_measurement": "fps",
        "state_class": "measurement",
        "entity_category": "diagnostic",
        **_availability(topics, camera=True),
    }
    label = {"name": "class", "state_topic": topics.camera("class"), "icon": "mdi:tag-outline"}
    image = {"name": "snapshot", "image_topic": topics.camera("snapshot"), "content_type": "image/jpeg"}
    bridge = _availability(topics, camera=False)  # the last picture is there, even if the camera is not
    return dict(
        [
            _announce(topics, "sensor", "fps", fps),
            _announce(topics, "sensor", "class", label | bridge),
            _announce(topics, "image", "snapshot", image | bridge),
        ]
    )


def announce_rule(topics: Topics, rule: str) -> dict[str, bytes]:
    """Return the topic and the content that announce a rule: a binary sensor, whose attributes are the event."""
    sensor = {
        "name": rule,
        "state_topic": topics.rule(rule),
        "payload_on": ON.decode(),
        "payload_off": OFF.decode(),
        "json_attributes_topic": topics.event(rule),
        **_availability(topics, camera=True),
    }
    return dict([_announce(topics, "binary_sensor", rule, sensor)])


def _announce(topics: Topics, component: str, object_id: str, entity: dict[str, Any]) -> tuple[str, bytes]:
    release = version("streamcam")
    content = entity | {
        "unique_id": f"{topics.node}_{component}_{object_id}",
        "device": {
            "identifiers": [topics.node],
            "name": topics.source,
            "manufacturer": "streamcam",
            "model": "camera",
            "sw_version": release,
        },
        "origin": {"name": "streamcam", "sw_version": release},
    }
    return f"{DISCOVERY}/{component}/{topics.node}/{object_id}/config", msgspec.json.encode(content)


def _availability(topics: Topics, *, camera: bool) -> dict[str, Any]:
    needed = [topics.bridge, *([topics.camera("availability")] if camera else [])]
    return {"availability": [{"topic": topic} for topic in needed], "availability_mode": "all"}
