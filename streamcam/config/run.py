"""The configuration of `streamcam run` and of `streamcam.stream`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from streamcam.config.events import EventFilesConfig, Name, RuleConfig, ZoneConfig
from streamcam.config.host_port import check_host_port
from streamcam.config.source import RtspTransport, SourceConfig, check_levels
from streamcam.strict import Strict

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5555"
"""Where `streamcam run` publishes, and where `streamcam view` subscribes, unless told otherwise."""

MAX_CLASSES = 100
"""A result carries the heat of so many classes at most."""


class RunConfig(Strict):
    """The options of `streamcam run` and of `streamcam.stream`."""

    # What to watch.
    sources: list[SourceConfig] = Field(min_length=1, description="the sources to watch")

    # The network, and what computes it.
    model: str = Field(
        "motion", description="one of `streamcam models`, a checkpoint (.safetensors), or an exported graph (.onnx)"
    )
    weights: str | None = Field(None, description="DEFAULT (published), none (random, for measuring) or a file")
    engine: Literal["auto", "window", "stream"] = Field(
        "auto", description="window computes whole clips, stream each frame once"
    )
    backend: Literal["auto", "torch", "openvino", "onnxruntime"] = Field(
        "auto",
        description="what computes the network: torch; openvino, also what streamcam export or quantize made; or "
        "onnxruntime, what streamcam export made; auto is the fastest that gives the same answers",
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N; run also takes several: cuda:0,cuda:1")
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"] = Field(
        "auto", description="auto is the fastest native one; int8 is for what streamcam quantize made"
    )

    # How sources are opened and decoded.
    decode: Literal["cpu", "cuda"] = Field(
        "cpu",
        description="cuda: decode and paint each camera's video on the GPU; the CPU decodes what the GPU cannot",
    )
    rtsp_transport: RtspTransport = Field(
        "auto", description="how RTSP cameras send pictures: tcp, udp, http (a tunnel); auto: TCP, or else UDP"
    )
    video_stream: int | None = Field(
        None, ge=0, description="which of a file's video streams, from 0; by default the best, never a cover picture"
    )
    levels: str | None = Field(
        None,
        description="grey of more than 8 bits, as of thermal cameras: LOW:HIGH, the values that become black and "
        "white; or auto, which follows slowly",
    )

    # Which clips are made of the frames.
    window: int | None = Field(None, ge=1, le=1024, description="frames in a clip; by default the model's own")
    hop: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="frames between windows; by default as many as there are between two heat slices",
    )
    dense: bool = Field(
        False, description="engine stream: a heat slice for every frame, where the network strides over frames"
    )
    fps: float | None = Field(None, gt=0, le=1000, description="frames a second the model sees; by default its own")

    # Which classes a result carries.
    group: str = Field(
        "auto",
        description="add classes up: a .yaml file of groups, things (the groups that come along, for ImageNet), or "
        "none; auto is things for ImageNet's classes",
    )
    classes: str | list[str] | None = Field(
        None, description="show only these: NAME,NAME…; given again, each is one name, commas and all"
    )
    top_k: int = Field(5, ge=1, le=MAX_CLASSES, description="how many classes to show, the strongest first")

    # Where results go.
    bind: str | None = Field(DEFAULT_ENDPOINT, description="where to publish; none to publish nowhere")
    keys: Path | None = Field(
        None, description="a folder of keys: encrypt, and admit only subscribers with a key in it"
    )
    record: Path | None = Field(None, description="write the overlay to this .mp4")
    save_heat: Path | None = Field(None, description="write the heat of every window to this .npz")

    # What is an event, and who is told.
    zones: dict[Name, ZoneConfig] = Field(default={}, description="parts of the picture, by name")
    events: dict[Name, RuleConfig] = Field(default={}, description="rules: what is an event, by name")
    event_files: EventFilesConfig | None = Field(None, description="what is kept of events, where and for how long")
    on_event: list[str] | None = Field(
        None, description="tell of each event: POST it to an http:// or https:// URL, or give it to a command"
    )
    metrics_bind: str | None = Field(
        None,
        description="serve /metrics for Prometheus and /healthz at this HOST:PORT, such as 127.0.0.1:9464, without a "
        "password; a port alone is for this machine only",
    )

    # How fast it runs, and when it ends.
    max_frames: int | None = Field(None, ge=1, description="stop each source after so many frames")
    seconds: float | None = Field(None, gt=0, description="stop after so many seconds")
    as_fast_as_possible: bool = Field(False, description="files: every window, no drops, the same result every time")
    loop: bool = Field(False, description="files: start again at the end")
    view: bool = Field(False, description="open a viewer window; closing it ends the run")
    web: bool = Field(False, description="show it in a browser, at http://127.0.0.1:8090; see streamcam web for more")
    summary_json: Path | None = Field(None, description="write counts and latencies to this file at the end")

    _levels = field_validator("levels", mode="before")(check_levels)
    _metrics_bind = field_validator("metrics_bind", mode="before")(check_host_port)

    @field_validator("sources", mode="before")
    @classmethod
    def _expand_uris(cls, value: object) -> object:
        """Let a source be given as its URI alone."""
        if isinstance(value, list):
            return [{"uri": str(v)} if isinstance(v, str | int | Path) else v for v in value]
        return value

    @field_validator("classes", mode="before")
    @classmethod
    def _check_names(cls, value: object) -> object:
        """Count the names. They stay one text: only the model knows which commas are part of a name."""
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple | None) or not all(isinstance(name, str) for name in names or ()):
            raise ValueError("expected names: a list of texts, or one text with commas between them")
        count = len([name for name in names or () if name.strip()])
        if names is not None and not 1 <= count <= MAX_CLASSES:
            raise ValueError(f"expected 1 to {MAX_CLASSES} names, got {count}")
        return value

    @field_validator("device")
    @classmethod
    def _check_devices(cls, value: str) -> str:
        if value in ("openvino", "onnxruntime", "torch"):
            raise ValueError(f"{value} is a backend: use backend {value}")
        names = [name.strip() for name in value.split(",")]
        if not all(names):
            raise ValueError(f"{value[:80]!r} has a comma too many: give devices as cuda:0,cuda:1")
        return ",".join(names)

    @field_validator("bind", mode="before")
    @classmethod
    def _read_none(cls, value: object) -> object:
        """Let people write none, as there is no None on a command line."""
        return None if value == "none" else value

    @model_validator(mode="after")
    def _check_together(self) -> "RunConfig":
        names = [source.name for source in self.sources if source.name]
        if len(names) != len(set(names)):
            raise ValueError("two sources have the same name")
        if self.engine == "window" and self.dense:
            raise ValueError("dense is for the stream engine: leave out engine window")
        if self.view and self.bind is None:
            raise ValueError("view needs an endpoint to look at: leave bind out, or give one")
        if self.web and self.bind is None:
            raise ValueError("web shows what is published: leave bind out, or give an endpoint")
        if self.on_event and self.bind is None:
            raise ValueError("on_event is told by what is published: leave bind out, or give an endpoint")
        if not self.events and (self.on_event or self.event_files is not None):
            raise ValueError("there is no rule for events: give `events` in a file (docs/events.md)")
        return self

    @model_validator(mode="after")
    def _check_rules(self) -> "RunConfig":
        for name, rule in self.events.items():
            if rule.zone is not None and rule.zone not in self.zones:
                known = f"zones: {', '.join(self.zones)}" if self.zones else "there are no zones"
                raise ValueError(f"events.{name}: no such zone: {rule.zone!r} ({known})")
            place = self.zones[rule.zone].source if rule.zone is not None else None
            if rule.source is not None and place is not None and rule.source != place:
                raise ValueError(f"events.{name}: its zone {rule.zone!r} is in the picture of {place!r}")
        return self
