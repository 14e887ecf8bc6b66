"""The configuration of a run and of a training.

YAML files, the command line and Python share the same keys: `max_frames: 9` in a file is `--max-frames 9` on the
command line and `max_frames=9` in Python. A key's description is the help text of its option.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from streamcam.errors import StreamcamError
from streamcam.passwords import password_from_environment, read_password
from streamcam.strict import Strict, describe
from streamcam.yaml_file import read_yaml

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5555"
"""Where `streamcam run` publishes, and where `streamcam view` subscribes, unless told otherwise."""

MAX_CLASSES = 100
"""A result carries the heat of so many classes at most."""

RtspTransport = Literal["auto", "tcp", "udp", "http"]


def _check_levels(value: object) -> object:
    """Check LOW:HIGH. YAML 1.1 reads some of them as a time: 10:50 becomes the number 650."""
    from streamcam.sources.levels import parse_levels  # imports NumPy, which few configurations need

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

    _levels = field_validator("levels", mode="before")(_check_levels)

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


class RunConfig(Strict):
    """The options of `streamcam run` and of `streamcam.stream`."""

    # What to watch.
    sources: list[SourceConfig] = Field(min_length=1, description="the sources to watch")

    # The network, and what computes it.
    model: str = Field("motion", description="one of `streamcam models`, or a checkpoint (.safetensors)")
    weights: str | None = Field(None, description="DEFAULT (published), none (random, for measuring) or a file")
    engine: Literal["auto", "window", "stream"] = Field(
        "auto", description="window computes whole clips, stream each frame once"
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="what computes the network; auto is openvino for what streamcam quantize made, else torch"
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

    # How fast it runs, and when it ends.
    max_frames: int | None = Field(None, ge=1, description="stop each source after so many frames")
    seconds: float | None = Field(None, gt=0, description="stop after so many seconds")
    as_fast_as_possible: bool = Field(False, description="files: every window, no drops, the same result every time")
    loop: bool = Field(False, description="files: start again at the end")
    view: bool = Field(False, description="open a viewer window; closing it ends the run")
    summary_json: Path | None = Field(None, description="write counts and latencies to this file at the end")

    _levels = field_validator("levels", mode="before")(_check_levels)

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
        if value in ("openvino", "torch"):
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
        return self


class TrainConfig(Strict):
    """The options of `streamcam train`."""

    data: Path = Field(description="a folder with a folder of clips for each class, or a CSV: path, start, end, label")
    out: Path = Field(description="the folder for checkpoint, figures and pictures")
    model: str = Field("motion", description="one of `streamcam models`, or a checkpoint (.safetensors) to go on from")
    weights: str | None = Field(None, description="initial weights: DEFAULT (published), none (from scratch) or a file")
    freeze: bool = Field(False, description="train the classifier only; the layers before the pooling stay as they are")
    multi_label: bool = Field(False, description="a clip may show several classes (CSV: one row for each)")
    epochs: int = Field(20, ge=1, description="rounds over all clips")
    batch: int = Field(8, ge=1, description="clips in a batch, on each device")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="of the classifier; pretrained layers get a tenth")
    val_share: float = Field(0.2, gt=0, lt=1, description="share of the files that are kept for validation")
    window: int | None = Field(None, ge=1, le=1024, description="frames in a clip; by default the model's own")
    fps: float | None = Field(None, gt=0, le=1000, description="frames a second the model sees; by default its own")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto, cpu or cuda")
    devices: int = Field(1, ge=1, description="GPUs (or, on a CPU, processes) to train on, on each machine")
    nodes: int = Field(1, ge=1, description="machines to train on; start the same command on each with torchrun")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto is bf16 where it is native")
    workers: int = Field(2, ge=0, le=256, description="processes that decode clips")
    seed: int = Field(0, ge=0, lt=2**31, description="of all random numbers")
    resume: bool = Field(False, description="continue an interrupted run with this folder and these options")
    force: bool = Field(False, description="start again, and replace the results of an earlier run in the folder")

    @model_validator(mode="after")
    def _check_together(self) -> "TrainConfig":
        if self.resume and self.force:
            raise ValueError("resume goes on with a run, force starts it again: leave one of them out")
        return self


Config = TypeVar("Config", RunConfig, TrainConfig)


def make_config(options: dict[str, Any], *, file: Path | None = None) -> RunConfig:
    """Check the configuration of a run: a file's keys, overridden by options that are not None.

    Raises:
        StreamcamError: the file cannot be read, a key is unknown, or a value is not allowed.
    """
    return _check(RunConfig, options, file)


def make_train_config(options: dict[str, Any], *, file: Path | None = None) -> TrainConfig:
    """Check the configuration of a training; otherwise like `make_config`.

    Raises:
        StreamcamError: the file cannot be read, a key is unknown, or a value is not allowed.
    """
    return _check(TrainConfig, options, file)


def _check(config: type[Config], options: dict[str, Any], file: Path | None) -> Config:
    keys = read_yaml(file) if file is not None else {}
    keys |= {key: value for key, value in options.items() if value is not None}
    try:
        return config.model_validate(keys)
    except ValidationError as e:
        prefix = f"{file}: " if file is not None else ""
        raise StreamcamError(prefix + _explain(e, config)) from None


def _explain(error: ValidationError, config: type[BaseModel]) -> str:
    """Describe the first mistake in one line.

    An unknown key comes first: where a key is mistyped, another one is missing because of it.
    """
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    if first["type"] == "extra_forbidden":
        known = SourceConfig.model_fields if len(first["loc"]) > 1 else config.model_fields
        close = get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"keys: {', '.join(known)}"
        return f"unknown key {'.'.join(map(str, first['loc']))!r} ({hint})"
    if first["type"] == "missing" and first["loc"] == ("sources",):
        return "no source: give a camera number, rtsp://…, a file or `sample`"
    return describe(first)
