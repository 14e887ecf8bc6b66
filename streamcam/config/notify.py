"""The configuration of `streamcam notify`: who is told of events, and of which."""

import shlex
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, field_validator, model_validator

from streamcam.config.events import Name
from streamcam.config.passwords import password_from_environment, read_password
from streamcam.strict import Strict

SPOOL_RECORDS = 50_000

TopicLevel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,48}$")]
State = Literal["start", "update", "end", "saved"]
States = Annotated[list[State], Field(min_length=1)]


class TargetConfig(Strict):
    """What all who are told have in common."""

    rules: list[Name] | None = Field(
        default=None, min_length=1, description="tell of these rules only; by default of all"
    )
    states: States = Field(
        default=["start", "end"], description="tell of these moments of an event: start, update, end, saved"
    )


class MqttConfig(TargetConfig):
    """An MQTT broker."""

    host: str = Field(min_length=1, max_length=255, description="the broker's host")
    port: int | None = Field(default=None, ge=1, le=65535, description="by default 1883, or 8883 with TLS")
    tls: bool = Field(default=False, description="encrypt, and check the broker's certificate")
    ca_file: Path | None = Field(
        default=None, description="the certificates that may have signed the broker's (PEM); by default the system's"
    )
    username: str | None = Field(default=None, min_length=1, repr=False, description="the login's user name")
    password_file: Path | None = Field(default=None, description="the file with the password, alone on its first line")
    password_env: str | None = Field(
        default=None, min_length=1, description="the environment variable with the password"
    )
    prefix: TopicLevel = Field(default="streamcam", description="the first level of all topics; one for each bridge")
    discovery: Literal["homeassistant", "none"] = Field(
        default="homeassistant", description="announce cameras and rules to Home Assistant"
    )
    states: States = Field(
        default=["start", "update", "end", "saved"],
        description="tell of these moments of an event; the sensor of a rule needs start and end, the image saved",
    )

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str) -> str:
        if not _is_host(host):
            raise ValueError("expected a host's name or address")
        return host

    @property
    def port_or_default(self) -> int:
        """The port, given or not."""
        return self.port or (8883 if self.tls else 1883)

    @model_validator(mode="after")
    def _check_together(self) -> "MqttConfig":
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file is for tls: add `tls: true`")
        given = [key for key in (self.password_file, self.password_env) if key is not None]
        if len(given) > 1 or (given and self.username is None):
            raise ValueError("a login is username, and password_file or password_env")
        return self

    def password(self) -> str | None:
        """Return the password, if there is one.

        Raises:
            StreamcamError: its file or environment variable cannot be read.
        """
        return _secret(self.password_file, self.password_env, "password")


class WebhookConfig(TargetConfig):
    """A URL that each event is sent to, by POST."""

    url: str = Field(repr=False, max_length=2000, description="http:// or https://")
    secret_file: Path | None = Field(
        default=None, description="sign with the secret in this file, alone on its first line"
    )
    secret_env: str | None = Field(default=None, min_length=1, description="sign with the secret in this variable")
    ca_file: Path | None = Field(
        default=None, description="the certificates that may have signed the server's (PEM); by default the system's"
    )
    timeout_s: float = Field(
        default=10.0, gt=0, le=600, description="it is tried again when no answer has come for so long"
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not _is_host(parts.hostname or "") or parts.port == 0:
                raise ValueError
        except ValueError:
            raise ValueError("expected a URL such as https://host/path") from None
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("a URL has no spaces, and letters without accents: write others as %20")
        return url

    @model_validator(mode="after")
    def _check_secret(self) -> "WebhookConfig":
        if self.secret_file is not None and self.secret_env is not None:
            raise ValueError("give secret_file or secret_env, not both")
        return self

    def secret(self) -> str | None:
        """Return what to sign with, if it is to be signed.

        Raises:
            StreamcamError: its file or environment variable cannot be read.
        """
        return _secret(self.secret_file, self.secret_env, "secret")


class CommandConfig(TargetConfig):
    """A program that is started for each event."""

    command: str = Field(repr=False, max_length=4000, description="program and arguments; there is no shell")
    timeout_s: float = Field(default=10.0, gt=0, le=3600, description="it is killed after so long")

    @property
    def arguments(self) -> list[str]:
        """The program and its arguments."""
        return shlex.split(self.command)

    @field_validator("command")
    @classmethod
    def _check_command(cls, command: str) -> str:
        try:
            arguments = shlex.split(command)
        except ValueError:
            raise ValueError("a quotation mark or a backslash too many") from None
        if not arguments or not arguments[0] or "\0" in command:
            raise ValueError("expected a program and its arguments")
        return command


class AppriseConfig(TargetConfig):
    """A service that apprise knows: mail, Telegram, Signal, Slack, and a hundred others."""

    url: str | None = Field(default=None, repr=False, min_length=1, description="apprise's URL of the service")
    url_file: Path | None = Field(default=None, description="the file with the URL, alone on its first line")
    url_env: str | None = Field(default=None, min_length=1, description="the environment variable with the URL")

    @model_validator(mode="after")
    def _check_url(self) -> "AppriseConfig":
        if sum(key is not None for key in (self.url, self.url_file, self.url_env)) != 1:
            raise ValueError("give one of url, url_file and url_env")
        return self

    def read_url(self) -> str:
        """Return the URL.

        Raises:
            StreamcamError: its file or environment variable cannot be read.
        """
        return self.url or _secret(self.url_file, self.url_env, "url") or ""


class NotifyConfig(Strict):
    """The keys of the file of `streamcam notify`."""

    mqtt: MqttConfig | None = Field(default=None, description="an MQTT broker, and through it Home Assistant")
    webhooks: list[WebhookConfig] = Field(default=[], max_length=32, description="URLs that events are sent to")
    commands: list[CommandConfig] = Field(default=[], max_length=32, description="programs that are started")
    apprise: list[AppriseConfig] = Field(default=[], max_length=32, description="services, by apprise")
    event_folder: Path | None = Field(
        default=None, description="where events' files are, as this process sees it: snapshots are sent from there"
    )
    spool: Path | None = Field(
        default=None, description="the folder where events wait on disk; by default one in ~/.local/state/streamcam"
    )
    spool_records: int = Field(
        default=SPOOL_RECORDS, ge=10, le=10_000_000, description="so many records wait for each target at most"
    )

    @model_validator(mode="after")
    def _check_somebody(self) -> "NotifyConfig":
        if not (self.mqtt or self.webhooks or self.commands or self.apprise):
            raise ValueError("nobody to tell: give mqtt, webhooks, commands or apprise in --config, or --on-event")
        return self


def on_event_keys(values: list[str]) -> dict[str, list[dict[str, str]]]:
    """Return `--on-event URL|CMD` as keys of a `NotifyConfig`."""
    urls = [value for value in values if value.strip().lower().startswith(("http://", "https://"))]
    return {
        "webhooks": [{"url": url.strip()} for url in urls],
        "commands": [{"command": value} for value in values if value not in urls],
    }


def _is_host(host: str) -> bool:
    try:
        return bool(host.encode("idna")) and host.isprintable() and not any(sign in host for sign in " /@?#")
    except UnicodeError:
        return False


def _secret(file: Path | None, variable: str | None, key: str) -> str | None:
    if file is not None:
        return read_password(file, key=f"{key}_file")
    return password_from_environment(variable, key=f"{key}_env") if variable is not None else None
