"""The configuration of one video source."""

from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator

from streamcam.config.passwords import password_from_environment, read_password
from streamcam.errors import StreamcamError
from streamcam.strict import Strict

RtspTransport = Literal["auto", "tcp", "udp", "http"]


def check_levels(value: object) -> object:
    """Check LOW:HIGH. YAML 1.1 reads some of them as a time: 10:50 becomes the number 650."""
    from streamcam.sources.pixels.levels import parse_levels  # imports NumPy, which few configurations need

    if isinstance(value, int):
        raise ValueError(f"expected LOW:HIGH or auto, got the number {value} (in a file, write '7000:9500' in quotes)")
    if isinstance(value, str):
        try:
            parse_levels(value)
        except StreamcamError as e:
            raise ValueError(str(e).removeprefix("levels: ")) from None
    return value


class SourceConfig(Strict):
    """One video source: what to open, and with which login."""

    uri: str = Field(
        repr=False, description="camera number, /dev/video0, rtsp://…, http://…, file, -, lavfi:… or sample"
    )
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9.-]{1,48}$", description="the source's name in results")
    video_stream: int | None = Field(default=None, ge=0, description="for this source, in place of the run's")
    levels: str | None = Field(default=None, description="for this source, in place of the run's")
    username: str | None = Field(
        default=None, min_length=1, repr=False, description="the login's user name, for a network camera"
    )
    password_file: Path | None = Field(default=None, description="the file with the password, alone on its first line")
    password_env: str | None = Field(
        default=None, min_length=1, description="the environment variable with the password"
    )
    rtsp_transport: RtspTransport | None = Field(
        default=None, description="for this RTSP camera, in place of the run's"
    )

    _levels = field_validator("levels", mode="before")(check_levels)

    @model_validator(mode="after")
    def _transport_needs_rtsp(self) -> "SourceConfig":
        if self.rtsp_transport is not None and not self.uri.strip().lower().startswith(("rtsp://", "rtsps://")):
            raise ValueError("rtsp_transport is for rtsp://…: leave it out")
        return self

    @model_validator(mode="after")
    def _login_is_complete(self) -> "SourceConfig":
        if (self.username is None) != (self.password_file is None and self.password_env is None):
            raise ValueError("a login is a username and either password_file or password_env: give both")
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("the password is in password_file or in password_env: leave one of them out")
        if self.username is not None:
            # A login goes between scheme and host, so the URI has to have both.
            scheme, separator, rest = self.uri.strip().partition("://")
            if not separator or not scheme.isalpha() or scheme.lower() in ("file", "lavfi"):
                raise ValueError("username is for network cameras (rtsp://…, http://…)")
            if "@" in rest.partition("/")[0]:
                raise ValueError("there is a login in uri as well: leave one of them out")
        return self

    def uri_with_login(self) -> str:
        """Give the URI with user name and password in it. Do not log or show it.

        The password is read anew at each call, so that a rotated one is found.

        Raises:
            StreamcamError: the file or variable with the password is missing or empty.
        """
        if self.username is None:
            return self.uri
        if self.password_file is not None:
            password = read_password(self.password_file.expanduser())
        else:
            password = password_from_environment(self.password_env or "")
        scheme, _, rest = self.uri.strip().partition("://")
        return f"{scheme}://{quote(self.username, safe='')}:{quote(password, safe='')}@{rest}"
