"""What can be configured: the same keys in YAML files, on the command line and in Python."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from streamcam.errors import StreamcamError

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5555"
MAX_CLASSES = 100
MAX_FILE_BYTES = 128 << 10
"""A larger file is not read: PyYAML would take many seconds."""

MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """YAML without aliases, of which nine lines can stand for a billion values, and nested no deeper than is of use."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.composer.ComposerError(None, None, "nested too deeply")
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases (*) are not for these files", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


RtspTransport = Literal["auto", "tcp", "udp", "http"]


def _levels_of(value: object) -> object:
    """Checked; YAML takes some for a time, such as 10:50 for 650 seconds."""
    from streamcam.sources.levels import parse_levels

    if isinstance(value, int):
        raise ValueError(f"expected LOW:HIGH or auto, got the number {value} (in a file, write '7000:9500' in quotes)")
    if isinstance(value, str):
        try:
            parse_levels(value)
        except StreamcamError as e:
            raise ValueError(str(e).removeprefix("levels: ")) from None
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SourceConfig(_Strict):
    """One source."""

    uri: str = Field(
        repr=False, description="camera number, /dev/video0, rtsp://…, http://…, file, -, lavfi:… or sample"
    )
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9.-]{1,48}$", description="what results call it")
    video_stream: int | None = Field(default=None, ge=0, description="of this one, in place of the run's")
    levels: str | None = Field(default=None, description="of this one, in place of the run's")
    username: str | None = Field(default=None, min_length=1, repr=False, description="whom a network camera knows")
    password_file: Path | None = Field(default=None, description="the file with the password, alone on its first line")
    password_env: str | None = Field(
        default=None, min_length=1, description="the environment variable with the password"
    )

    rtsp_transport: RtspTransport | None = Field(
        default=None, description="of an RTSP camera; by default as for all of them"
    )

    @model_validator(mode="after")
    def _rtsp_alone(self) -> "SourceConfig":
        if self.rtsp_transport is not None and not self.uri.strip().lower().startswith(("rtsp://", "rtsps://")):
            raise ValueError("rtsp_transport is for rtsp://…: leave it out")
        return self

    _levels = field_validator("levels", mode="before")(_levels_of)

    @model_validator(mode="after")
    def _one_login(self) -> "SourceConfig":
        if (self.username is None) != (self.password_file is None and self.password_env is None):
            raise ValueError("a login is a username and either password_file or password_env: give both")
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("the password is in password_file or in password_env: leave one of them out")
        if self.username is not None:
            scheme, separator, rest = self.uri.strip().partition("://")
            if not separator or not scheme.isalpha() or scheme.lower() in ("file", "lavfi"):
                raise ValueError("username is for network cameras (rtsp://…, http://…)")
            if "@" in rest.partition("/")[0]:
                raise ValueError("there is a login in uri as well: leave one of them out")
        return self

    def uri_with_login(self) -> str:
        """What to open, the password in it: keep it to yourself.

        Raises:
            StreamcamError: there is no password where it should be.
        """
        if self.username is None:
            return self.uri
        password = (
            _password_in(self.password_file.expanduser())
            if self.password_file
            else _password_of(self.password_env or "")
        )
        scheme, _, rest = self.uri.strip().partition("://")
        return f"{scheme}://{quote(self.username, safe='')}:{quote(password, safe='')}@{rest}"


class RunConfig(_Strict):
    """Everything that `streamcam run` and `streamcam.stream` can be told."""

    sources: list[SourceConfig] = Field(min_length=1, description="what to watch")
    model: str = Field("motion", description="one of `streamcam models`, or a checkpoint (.safetensors)")
    weights: str | None = Field(None, description="DEFAULT (published), none (random, for measuring) or a file")
    engine: Literal["auto", "window", "stream"] = Field("auto", description="how clips are computed")
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="what computes the network; auto is openvino for what streamcam quantize made, else torch"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N; run also takes several: cuda:0,cuda:1")
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"] = Field(
        "auto", description="auto is the fastest native one; int8 is for what streamcam quantize made"
    )
    decode: Literal["cpu", "cuda"] = Field(
        "cpu",
        description="cuda: each camera's video on the GPU, which then paints it, too; what it cannot, the CPU does",
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
    classes: str | list[str] | None = Field(
        None, description="show only these: NAME,NAME…; given again, each is one name, commas and all"
    )
    top_k: int = Field(5, ge=1, le=MAX_CLASSES, description="show the strongest so many classes")
    bind: str | None = Field(DEFAULT_ENDPOINT, description="where to publish; none to publish nowhere")
    keys: Path | None = Field(None, description="a folder of keys: encrypt, and let only those in whose keys it holds")
    record: Path | None = Field(None, description="write the overlay to this .mp4")
    save_heat: Path | None = Field(None, description="write the heat of every window to this .npz")
    max_frames: int | None = Field(None, ge=1, description="stop each source after so many frames")
    seconds: float | None = Field(None, gt=0, description="stop after so long")
    as_fast_as_possible: bool = Field(False, description="files: every window, no drops, the same result every time")
    loop: bool = Field(False, description="files: start again at the end")
    view: bool = Field(False, description="open a viewer window; closing it ends the run")
    summary_json: Path | None = Field(None, description="write counts and latencies to this file at the end")

    _levels = field_validator("levels", mode="before")(_levels_of)

    @field_validator("sources", mode="before")
    @classmethod
    def _uris(cls, value: object) -> object:
        """A source may be given as its URI alone."""
        if isinstance(value, list):
            return [{"uri": str(v)} if isinstance(v, str | int | Path) else v for v in value]
        return value

    @field_validator("classes", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        """One text holds names and commas: which commas are part of a name, only the model knows."""
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple | None) or not all(isinstance(name, str) for name in names or ()):
            raise ValueError("expected names: a list of texts, or one text with commas between them")
        count = len([name for name in names or () if name.strip()])
        if names is not None and not 1 <= count <= MAX_CLASSES:
            raise ValueError(f"expected 1 to {MAX_CLASSES} names, got {count}")
        return value

    @field_validator("device")
    @classmethod
    def _named(cls, value: str) -> str:
        if value in ("openvino", "torch"):
            raise ValueError(f"{value} is a backend: use backend {value}")
        names = [name.strip() for name in value.split(",")]
        if not all(names):
            raise ValueError(f"{value[:80]!r} has a comma too many: give devices as cuda:0,cuda:1")
        return ",".join(names)

    @field_validator("bind", mode="before")
    @classmethod
    def _nowhere(cls, value: object) -> object:
        return None if value == "none" else value

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        names = [source.name for source in self.sources if source.name]
        if len(names) != len(set(names)):
            raise ValueError("two sources have the same name")
        if self.engine == "window" and self.dense:
            raise ValueError("dense is for the stream engine: leave out engine window")
        if self.view and self.bind is None:
            raise ValueError("view needs an endpoint to look at: leave bind out, or give one")
        return self


class TrainConfig(_Strict):
    """Everything that `streamcam train` can be told."""

    data: Path = Field(description="a folder with a folder of clips for each class, or a CSV: path, start, end, label")
    out: Path = Field(description="the folder for checkpoint, figures and pictures")
    model: str = Field("motion", description="one of `streamcam models`, or a checkpoint (.safetensors) to go on from")
    weights: str | None = Field(None, description="to begin with: DEFAULT (published), none (from scratch) or a file")
    freeze: bool = Field(False, description="train the classifier alone; what is before the pooling stays as it is")
    multi_label: bool = Field(False, description="several classes at once (CSV: several rows for the same clip)")
    epochs: int = Field(20, ge=1, description="rounds over all clips")
    batch: int = Field(8, ge=1, description="clips in a batch, on each device")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="of the classifier; a pretrained rest gets a tenth")
    val_share: float = Field(0.2, gt=0, lt=1, description="how many of the files are kept to check with")
    window: int | None = Field(None, ge=1, le=1024, description="frames in a clip; by default the model's own")
    fps: float | None = Field(None, gt=0, le=1000, description="frames a second the model sees; by default its own")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto, cpu or cuda")
    devices: int = Field(1, ge=1, description="GPUs (or, on a CPU, processes) to train on, on each machine")
    nodes: int = Field(1, ge=1, description="machines to train on; start the same command on each with torchrun")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto is bf16 where it is native")
    workers: int = Field(2, ge=0, le=256, description="processes that decode clips")
    seed: int = Field(0, ge=0, lt=2**31, description="of all that is random")
    resume: bool = Field(False, description="go on where a run with this folder and these options was ended")
    force: bool = Field(False, description="start again, over what the folder holds from a run before")

    @model_validator(mode="after")
    def _one_beginning(self) -> "TrainConfig":
        if self.resume and self.force:
            raise ValueError("resume goes on with a run, force starts it again: leave one of them out")
        return self


def _password_in(file: Path) -> str:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise StreamcamError(f"cannot read password_file {file}: {e.strerror}") from None
    except UnicodeDecodeError:
        raise StreamcamError(f"cannot read password_file {file}: it is not text") from None
    if len(lines) != 1 or not lines[0]:
        raise StreamcamError(f"password_file {file} should hold one line, the password; it has {len(lines)}")
    return lines[0]


def _password_of(variable: str) -> str:
    password = os.environ.get(variable)
    if not password:
        state = "is not set" if password is None else "is empty"
        raise StreamcamError(f"password_env: the environment variable {variable} {state}")
    return password


Config = TypeVar("Config", RunConfig, TrainConfig)


def make_config(options: dict[str, Any], *, file: Path | None = None) -> RunConfig:
    """A checked configuration from a file's keys, overridden by options that are not None.

    Raises:
        StreamcamError: the file cannot be read, a key is unknown, or a value is not allowed.
    """
    return _checked(RunConfig, options, file)


def make_train_config(options: dict[str, Any], *, file: Path | None = None) -> TrainConfig:
    """The same for training."""
    return _checked(TrainConfig, options, file)


def _checked(config: type[Config], options: dict[str, Any], file: Path | None) -> Config:
    keys = read_yaml(file) if file else {}
    keys |= {key: value for key, value in options.items() if value is not None}
    try:
        return config.model_validate(keys)
    except ValidationError as e:
        where = f"{file}: " if file else ""
        raise StreamcamError(where + _explain(e, config)) from None


def read_yaml(file: Path) -> dict[str, Any]:
    """The keys in a YAML file.

    Raises:
        StreamcamError: no such file, or not a YAML mapping.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise StreamcamError(f"{file}: expected at most {MAX_FILE_BYTES >> 10} KiB of YAML")
        content = yaml.load(text.decode(), _Loader)
    except OSError as e:
        raise StreamcamError(f"cannot read {file}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise StreamcamError(f"cannot read {file}: it is not text") from e
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise StreamcamError(f"{file}{line}: not valid YAML ({getattr(e, 'problem', 'syntax error')})") from None
    except ValueError as e:
        raise StreamcamError(f"{file}: a number or date that cannot be one") from e
    if not isinstance(content, dict):
        raise StreamcamError(f"{file}: expected keys and values such as 'model: imagenet'")
    return content


def _explain(error: ValidationError, config: type[BaseModel]) -> str:
    """The first thing that is wrong, in one line; a mistyped key before the one that is missing for it."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = SourceConfig.model_fields if len(first["loc"]) > 1 else config.model_fields
        close = get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"keys: {', '.join(known)}"
        return f"unknown key {where!r} ({hint})"
    if first["type"] == "missing" and where == "sources":
        return "no source: give a camera number, rtsp://…, a file or `sample`"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
