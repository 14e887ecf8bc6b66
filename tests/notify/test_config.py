"""A mistake in the configuration of who is told is one line; a good one is read."""

from pathlib import Path
from typing import Any

import pytest

from streamcam.config.load import make_notify_config
from streamcam.config.notify import MqttConfig
from streamcam.errors import StreamcamError
from tests.support.paths import ROOT


def made(**keys: Any) -> Any:
    return make_notify_config(keys, on_event=[])


def test_the_example_is_valid() -> None:
    config = make_notify_config({}, on_event=[], file=ROOT / "configs" / "notify.yaml")
    assert config.mqtt is not None


def test_on_event_is_a_url_or_a_command() -> None:
    config = make_notify_config({}, on_event=["https://h/x", "notify-send 'an event'", "HTTP://h/y"])
    assert [webhook.url for webhook in config.webhooks] == ["https://h/x", "HTTP://h/y"]
    assert [command.arguments for command in config.commands] == [["notify-send", "an event"]]
    assert config.webhooks[0].states == ["start", "end"]


def test_on_event_adds_to_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "notify.yaml"
    file.write_text("webhooks: [{url: https://one}]\n")
    config = make_notify_config({}, on_event=["https://two"], file=file)
    assert [webhook.url for webhook in config.webhooks] == ["https://one", "https://two"]


def test_the_port_is_that_of_tls_where_there_is_tls() -> None:
    assert MqttConfig(host="h").port_or_default == 1883
    assert MqttConfig(host="h", tls=True).port_or_default == 8883
    assert MqttConfig(host="h", tls=True, port=1).port_or_default == 1


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "nobody to tell: give mqtt, webhooks, commands or apprise in --config, or --on-event"),
        ({"mqtt": {"hots": "h"}}, "unknown key 'mqtt.hots' (did you mean 'host'?)"),
        ({"webhooks": [{"url": "https://h", "secret": "x"}]}, "unknown key 'webhooks.0.secret'"),
        ({"mqtt": {"host": "h", "ca_file": "x.pem"}}, "mqtt: ca_file is for tls: add `tls: true`"),
        ({"mqtt": {"host": "h", "password_env": "X"}}, "mqtt: a login is username, and password_file"),
        ({"mqtt": {"host": "h", "prefix": "a/b"}}, "mqtt.prefix"),
        ({"mqtt": {"host": "h", "prefix": "#"}}, "mqtt.prefix"),
        ({"mqtt": {"host": "h", "states": ["began"]}}, "mqtt.states.0"),
        ({"mqtt": {"host": "x" * 70}}, "mqtt.host: expected a host's name or address"),
        ({"mqtt": {"host": "mqtt://h"}}, "mqtt.host: expected a host's name or address"),
        ({"webhooks": [{"url": f"http://{'x' * 70}/"}]}, "webhooks.0.url: expected a URL"),
        ({"webhooks": [{"url": "ftp://hunter2"}]}, "webhooks.0.url: expected a URL such as https://host/path"),
        ({"webhooks": [{"url": "http://"}]}, "webhooks.0.url: expected a URL"),
        ({"webhooks": [{"url": "http://h:99999/"}]}, "webhooks.0.url: expected a URL"),
        ({"webhooks": [{"url": "http://h/\r\nX: y"}]}, "webhooks.0.url: a URL has no spaces"),
        ({"webhooks": [{"url": "http://h", "secret_env": "A", "secret_file": "b"}]}, "give secret_file or secret_env"),
        ({"commands": [{"command": "say 'hunter2"}]}, "commands.0.command: a quotation mark or a backslash too many"),
        ({"commands": [{"command": "  "}]}, "commands.0.command: expected a program"),
        ({"apprise": [{}]}, "apprise.0: give one of url, url_file and url_env"),
        ({"webhooks": "https://h"}, "webhooks"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_without_secrets(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(StreamcamError) as caught:
        made(**keys)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    config = made(webhooks=[{"url": "https://h", "secret_file": tmp_path / "none"}], mqtt=None)
    with pytest.raises(StreamcamError, match=r"cannot read secret_file .*: No such file"):
        config.webhooks[0].secret()
