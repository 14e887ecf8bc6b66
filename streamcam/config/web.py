"""The configuration of `streamcam web`."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from streamcam.config.host_port import check_host_port, split_host_port
from streamcam.config.passwords import password_from_environment, read_password
from streamcam.config.run import DEFAULT_ENDPOINT
from streamcam.strict import Strict

DEFAULT_BIND = "127.0.0.1:8090"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class WebConfig(Strict):
    """The options of `streamcam web`."""

    endpoints: list[str] = Field([DEFAULT_ENDPOINT], min_length=1, description="where `streamcam run` publishes")
    bind: str = Field(
        DEFAULT_BIND, description="serve the page at this HOST:PORT; a port alone is for this machine only"
    )
    keys: Path | None = Field(None, description="the folder with your key and the publishers' public ones")

    # Who may watch.
    token_file: Path | None = Field(None, description="admit only whoever has the token in this file, its only line")
    token_env: str | None = Field(None, min_length=1, description="admit only whoever has the token in this variable")
    tls_cert: Path | None = Field(None, description="serve https:// with this certificate (PEM)")
    tls_key: Path | None = Field(None, description="the certificate's private key (PEM)")
    behind_proxy: bool = Field(False, description="a proxy in front of the page does TLS")

    # What is shown beside the cameras.
    events: Path | None = Field(None, description="the folder of saved events, as of `event_files`")
    config: Path | None = Field(None, description="the file of `streamcam run`, whose zones are shown")
    allow_edit: bool = Field(False, description="let viewers save zones to that file")

    rtsp_out: str | None = Field(
        None, repr=False, description="push overlays to an RTSP server: rtsp://host/{camera}, {camera} being its name"
    )

    _bind = field_validator("bind", mode="before")(check_host_port)

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the page."""
        return split_host_port(self.bind)[0] in LOOPBACK_HOSTS

    @model_validator(mode="after")
    def _check_together(self) -> "WebConfig":
        if self.token_file is not None and self.token_env is not None:
            raise ValueError("give token_file or token_env, not both")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs tls_cert and tls_key")
        if self.allow_edit and self.config is None:
            raise ValueError("allow_edit needs the file to save to: give config")
        if self.behind_proxy and self.token_file is None and self.token_env is None:
            raise ValueError("behind_proxy lets other machines reach the page: give token_file or token_env")
        if not self.on_loopback:
            if self.token_file is None and self.token_env is None:
                raise ValueError(f"{self.bind} can be reached from other machines: give token_file or token_env")
            if self.tls_cert is None and not self.behind_proxy:
                raise ValueError(
                    f"{self.bind} can be reached from other machines: give tls_cert and tls_key, or behind_proxy"
                )
        return self

    def token(self) -> str | None:
        """Return the token, if there is one.

        Raises:
            StreamcamError: its file or environment variable cannot be read.
        """
        if self.token_file is not None:
            return read_password(self.token_file, key="token_file")
        return None if self.token_env is None else password_from_environment(self.token_env, key="token_env")
