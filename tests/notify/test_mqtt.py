"""A real broker is told of every event, and Home Assistant of every camera and rule, whatever happens to the broker."""

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from streamcam.config.notify import MqttConfig
from streamcam.errors import StreamcamError
from streamcam.events.event_json import decode_event
from streamcam.notify.homeassistant import Topics
from streamcam.notify.mqtt import STATUS_MISSING_S, MqttTarget
from streamcam.notify.outlet import Outlet
from streamcam.notify.spool import Spool
from tests.support.messages import an_event
from tests.support.mosquitto import Broker, Received, broker, receiver
from tests.support.ports import unused_port
from tests.support.publish_demo import eventually

pytestmark = pytest.mark.slow


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with broker(tmp_path_factory.mktemp("broker")) as made:
        yield made


def config_of(broker: Broker, **keys: Any) -> MqttConfig:
    return MqttConfig.model_validate({"host": "127.0.0.1", "port": broker.port, **keys})


@contextmanager
def telling(config: MqttConfig, folder: Path, *, events: Path | None = None, **options: Any) -> Iterator[Outlet]:
    target = MqttTarget(config, event_folder=events, **options)
    outlet = Outlet(target, Spool(folder / "mqtt.sqlite3", most=50_000), config, backoff_s=0.05)
    outlet.start()
    try:
        yield outlet
    finally:
        outlet.close(until_s=0.0)
    assert outlet.error is None


def mqtt_of(outlet: Outlet) -> MqttTarget:
    assert isinstance(outlet.target, MqttTarget)
    return outlet.target


def ids(received: Received) -> list[str]:
    return [decode_event(content).id for content in received.of("/event")]


def test_the_state_and_the_record_of_an_event_are_published(running: Broker, tmp_path: Path) -> None:
    config = config_of(running, prefix="states")
    with receiver(running, "states/#") as received, telling(config, tmp_path) as outlet:
        for state in ("start", "update", "end", "saved"):
            outlet.put(an_event(state=state))
        eventually(lambda: len(received.of("/event")) == 4, "all have come")
        eventually(lambda: len(received.of("/cam1/wrong-way")) == 3, "all states have come")
    assert received.of("/cam1/wrong-way") == [b"ON", b"ON", b"OFF"]
    assert [decode_event(content) for content in received.of("states/cam1/wrong-way/event")] == [
        an_event(state=state) for state in ("start", "update", "end", "saved")
    ]
    assert received.newest["states/cam1/_camera/class"].decode() == "猫 🐈"


def test_what_a_rule_and_a_camera_are_is_retained_for_who_comes_later(running: Broker, tmp_path: Path) -> None:
    config = config_of(running, prefix="later")
    with telling(config, tmp_path) as outlet:
        outlet.put(an_event(state="start"))
        eventually(lambda: outlet.counts["told"] == 1, "it is told")
        with receiver(running, "#") as late:
            eventually(lambda: "later/cam1/wrong-way" in late.newest, "the state is there")
            eventually(lambda: "later/status" in late.newest, "the bridge is there")
            assert late.newest["later/status"] == b"online"
            assert late.newest["later/cam1/wrong-way"] == b"ON"
    with receiver(running, "later/status") as after:
        eventually(lambda: after.newest.get("later/status") == b"offline", "the bridge says that it is gone")


def test_home_assistant_finds_a_device_with_its_sensors(running: Broker, tmp_path: Path) -> None:
    config = config_of(running, prefix="ha")
    with receiver(running, "homeassistant/#") as received, telling(config, tmp_path) as outlet:
        mqtt_of(outlet).on_status("cam1", {"state": "live", "fps": 24.5, "rules": "fall,wave"}, publisher="p")
        outlet.put(an_event(state="start"))
        topics = {
            "homeassistant/sensor/ha_cam1/fps/config",
            "homeassistant/sensor/ha_cam1/class/config",
            "homeassistant/image/ha_cam1/snapshot/config",
            "homeassistant/binary_sensor/ha_cam1/fall/config",
            "homeassistant/binary_sensor/ha_cam1/wave/config",
            "homeassistant/binary_sensor/ha_cam1/wrong-way/config",
        }
        eventually(lambda: topics <= received.newest.keys(), "all are announced")
    found = {topic: json.loads(received.newest[topic]) for topic in topics}
    rule = found["homeassistant/binary_sensor/ha_cam1/wrong-way/config"]
    assert (rule["state_topic"], rule["payload_on"], rule["payload_off"]) == ("ha/cam1/wrong-way", "ON", "OFF")
    assert rule["json_attributes_topic"] == "ha/cam1/wrong-way/event"
    assert rule["availability"] == [{"topic": "ha/status"}, {"topic": "ha/cam1/_camera/availability"}]
    assert rule["availability_mode"] == "all"
    image = found["homeassistant/image/ha_cam1/snapshot/config"]
    assert (image["image_topic"], image["content_type"]) == ("ha/cam1/_camera/snapshot", "image/jpeg")
    assert {tuple(entity["device"]["identifiers"]) for entity in found.values()} == {("ha_cam1",)}
    assert len({entity["unique_id"] for entity in found.values()}) == len(found)
    assert all(entity["origin"]["name"] == "streamcam" for entity in found.values())


def test_nothing_is_announced_where_it_is_not_wanted(running: Broker, tmp_path: Path) -> None:
    config = config_of(running, prefix="plain", discovery="none")
    with receiver(running, "#") as received, telling(config, tmp_path) as outlet:
        outlet.put(an_event(state="start"))
        eventually(lambda: "plain/cam1/wrong-way/event" in received.newest, "it is told")
    assert not [topic for topic in received.newest if topic.startswith("homeassistant") and "/plain_" in topic]


def test_two_sources_never_share_a_node() -> None:
    names = ["a.b", "a_b", "a-b", "a..b", "a__b"]
    assert len({Topics("streamcam", name).node for name in names}) == len(names)


def test_a_camera_is_available_while_it_is_live_and_while_somebody_says_so(running: Broker, tmp_path: Path) -> None:
    clock, topic = Clock(), "avail/cam1/_camera/availability"
    config = config_of(running, prefix="avail")
    with receiver(running, "avail/#") as received, telling(config, tmp_path, clock=clock) as outlet:
        target = mqtt_of(outlet)

        def becomes(content: bytes) -> None:
            eventually(lambda: received.newest.get(topic) == content, f"the camera is {content.decode()}")

        for state, content in [("live", b"online"), ("lost", b"offline"), ("stalled", b"online")]:
            target.on_status("cam1", {"state": state, "fps": 12.0}, publisher="p")
            becomes(content)
        clock.now_s = STATUS_MISSING_S + 1
        target.tick()
        becomes(b"offline")
        target.on_status("cam1", {"state": "live", "fps": 7.26}, publisher="p")
        becomes(b"online")
        eventually(lambda: received.newest.get("avail/cam1/_camera/fps") == b"7.3", "the rate is told")


def test_what_was_on_when_a_publisher_was_killed_is_off_when_it_comes_back(running: Broker, tmp_path: Path) -> None:
    config = config_of(running, prefix="killed")
    with receiver(running, "killed/#") as received, telling(config, tmp_path) as outlet:
        mqtt_of(outlet).on_status("cam1", {"state": "live"}, publisher="p")
        outlet.put(an_event(state="start"))
        eventually(lambda: outlet.counts["told"] == 1, "it is told")
        mqtt_of(outlet).on_status("cam1", {"state": "live"}, publisher="q")
        eventually(lambda: received.newest.get("killed/cam1/wrong-way") == b"OFF", "it is off")


def test_the_snapshot_of_an_event_is_published(running: Broker, tmp_path: Path) -> None:
    event = an_event(state="saved")
    assert event.folder is not None
    folder = tmp_path / "events" / event.folder
    folder.mkdir(parents=True)
    (folder / "snapshot.jpg").write_bytes(b"\xff\xd8 a picture")
    config = config_of(running, prefix="pictures")
    with (
        receiver(running, "pictures/#") as received,
        telling(config, tmp_path, events=tmp_path / "events") as outlet,
    ):
        outlet.put(event)
        topic = "pictures/cam1/_camera/snapshot"
        eventually(lambda: received.newest.get(topic) == b"\xff\xd8 a picture", "the picture")


def test_a_bridge_that_is_killed_is_offline_by_its_last_will(running: Broker, tmp_path: Path) -> None:
    code = (
        "import sys; from streamcam.config.notify import MqttConfig; from streamcam.notify.mqtt import MqttTarget\n"
        f"target = MqttTarget(MqttConfig(host='127.0.0.1', port={running.port}, prefix='will'), event_folder=None)\n"
        "sys.stdin.read()"
    )
    with receiver(running, "will/status") as received:
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
        with process:
            eventually(lambda: received.newest.get("will/status") == b"online", "it is online", seconds=30)
            process.kill()
        eventually(lambda: received.newest.get("will/status") == b"offline", "it is offline")


def test_a_refused_password_is_logged_once_and_a_right_one_is_let_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users, password = tmp_path / "users", tmp_path / "password"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "me", "hunter2"], check=True, capture_output=True)
    password.write_text("wrong\n")
    with broker(tmp_path / "b", "allow_anonymous false", f"password_file {users}") as made:
        config = config_of(made, username="me", password_file=password)
        with caplog.at_level(logging.INFO), telling(config, tmp_path) as outlet:
            outlet.put(an_event())
            eventually(lambda: "refuses this client: Not authorized" in caplog.text, "it is logged")
        assert "hunter2" not in caplog.text
        assert caplog.text.count("refuses this client") == 1
        assert outlet.counts["told"] == 0
        password.write_text("hunter2\n")
        login = ("me", "hunter2")
        with receiver(made, login=login) as received, telling(config, tmp_path):
            eventually(lambda: ids(received) == [an_event().id], "what waited on disk is told")


# The client leaves it to the garbage collector to close a socket without a handshake.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_checks_who_the_broker_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(make, check=True, capture_output=True)
    plain = unused_port()
    lines = ["allow_anonymous true", f"keyfile {key}", f"certfile {certificate}", f"listener {plain} 127.0.0.1"]
    with broker(tmp_path / "b", *lines) as made:
        with telling(config_of(made, tls=True), tmp_path / "unknown") as outlet:
            outlet.put(an_event())
            eventually(lambda: "certificate verify failed" in caplog.text, "it is refused")
            assert outlet.counts["told"] == 0
        with telling(config_of(made, tls=True, ca_file=certificate), tmp_path / "known") as outlet:
            outlet.put(an_event())
            eventually(lambda: outlet.counts["told"] == 1, "it is told")


def test_certificates_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    config = MqttConfig.model_validate({"host": "h", "tls": True, "ca_file": tmp_path / "none.pem"})
    with pytest.raises(StreamcamError, match="cannot read the certificates in ca_file"):
        MqttTarget(config, event_folder=None)


def test_events_of_an_outage_arrive_once_each_and_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with broker(tmp_path / "b") as made, receiver(made) as received:
        with caplog.at_level(logging.INFO), telling(config_of(made), tmp_path) as outlet:
            made.save()  # before the first event: else the broker itself might send that again
            outlet.put(an_event(id="before"))
            eventually(lambda: outlet.counts["told"] == 1 and ids(received) == ["before"], "the first is told")
            made.kill()
            for i in range(300):
                outlet.put(an_event(id=f"e{i}"))
            eventually(lambda: "the connection is lost" in caplog.text, "the outage is noticed")
            made.start()
            eventually(lambda: len(ids(received)) > 300, "all have come", seconds=40)
        assert ids(received) == ["before", *(f"e{i}" for i in range(300))]
        assert "is there" in caplog.text


def test_a_broker_that_has_forgotten_everything_is_told_again(tmp_path: Path) -> None:
    with broker(tmp_path / "b") as made, telling(config_of(made), tmp_path) as outlet:
        mqtt_of(outlet).on_status("cam1", {"state": "live"}, publisher="p")
        outlet.put(an_event(state="start"))
        eventually(lambda: outlet.counts["told"] == 1, "it is told")
        made.kill()
        (tmp_path / "b" / "mosquitto.db").unlink(missing_ok=True)
        made.start()
        wanted = {
            "streamcam/status": b"online",
            "streamcam/cam1/wrong-way": b"ON",
            "streamcam/cam1/_camera/availability": b"online",
        }
        with receiver(made) as received:
            eventually(lambda: wanted.items() <= received.newest.items(), "all of it", seconds=20)
            assert "homeassistant/binary_sensor/streamcam_cam1/wrong-way/config" in received.newest


def test_a_broker_that_hangs_does_not_keep_the_bridge_from_its_end(tmp_path: Path) -> None:
    with broker(tmp_path / "b") as made, telling(config_of(made), tmp_path) as outlet:
        outlet.put(an_event(id="before"))
        eventually(lambda: outlet.counts["told"] == 1, "it is told")
        assert made.process is not None
        made.process.send_signal(signal.SIGSTOP)
        for i in range(100):
            outlet.put(an_event(id=f"e{i}"))
        ended = Thread(target=lambda: outlet.close(until_s=0.0))
        ended.start()
        ended.join(15)
        assert not ended.is_alive()
    with Spool(tmp_path / "mqtt.sqlite3", most=1000) as spool:
        assert len(spool) == 100


def test_what_waits_when_the_bridge_ends_is_told_by_the_next(tmp_path: Path) -> None:
    made = Broker(tmp_path / "b")
    with telling(config_of(made), tmp_path) as outlet:
        for i in range(20):
            outlet.put(an_event(id=f"e{i}"))
    made.start()
    try:
        with receiver(made) as received, telling(config_of(made), tmp_path):
            eventually(lambda: len(ids(received)) == 20, "all have come")
        assert ids(received) == [f"e{i}" for i in range(20)]
    finally:
        made.kill()


def test_ten_thousand_events_through_two_outages_all_arrive_and_hardly_any_twice(tmp_path: Path) -> None:
    """The first outage begins between events, the second in the middle of them: those under way may come twice."""
    sent = [f"e{i:05d}" for i in range(10_000)]
    with broker(tmp_path / "b", "allow_anonymous true", "max_inflight_messages 0") as made:
        with receiver(made, "streamcam/+/+/event") as received, telling(config_of(made), tmp_path) as outlet:
            made.save()
            outlet.put(an_event(id="first"))
            eventually(lambda: outlet.counts["told"] == 1 and ids(received) == ["first"], "the first is told")
            made.kill()
            for name in sent:
                outlet.put(an_event(id=name))
            made.start()
            eventually(lambda: outlet.counts["told"] > 2000, "some are told", seconds=60)
            made.stop()
            made.start()
            eventually(lambda: len(outlet.spool) == 0, "all are told", seconds=60)
            eventually(lambda: set(sent) <= set(ids(received)), "all have come", seconds=30)
            assert outlet.spool.dropped == 0
        got = ids(received)
    assert set(got) == {"first", *sent}
    assert len(got) - len(set(got)) <= MqttTarget.at_once
