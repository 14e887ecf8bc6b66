"""Makes checked configurations of files and options, and explains mistakes in one line."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from streamcam.config.notify import NotifyConfig, on_event_keys
from streamcam.config.run import RunConfig
from streamcam.config.train import TrainConfig
from streamcam.config.web import WebConfig
from streamcam.config.yaml_file import read_yaml
from streamcam.errors import StreamcamError
from streamcam.strict import describe

Config = TypeVar("Config", RunConfig, TrainConfig, NotifyConfig, WebConfig)


def make_config(options: dict[str, Any], *, file: Path | None = None) -> RunConfig:
    """Check the configuration of a run: a file's keys, overridden by options that are not None.

    Raises:
        StreamcamError: the file cannot be read, a key is unknown, or a value is not allowed.
    """
    return _check(RunConfig, _keys(options, file), file)


def make_train_config(options: dict[str, Any], *, file: Path | None = None) -> TrainConfig:
    """Check the configuration of a training; otherwise like `make_config`.

    Raises:
        StreamcamError: the file cannot be read, a key is unknown, or a value is not allowed.
    """
    return _check(TrainConfig, _keys(options, file), file)


def make_notify_config(options: dict[str, Any], *, on_event: list[str], file: Path | None = None) -> NotifyConfig:
    """Check the configuration of who is told; otherwise like `make_config`. `on_event` adds URLs and commands.

    Raises:
        StreamcamError: the file cannot be read, a key is unknown, or a value is not allowed.
    """
    keys = _keys(options, file)
    for key, added in on_event_keys(on_event).items():
        listed = keys.get(key, [])
        if added and isinstance(listed, list):  # anything else is refused below
            keys[key] = [*listed, *added]
    return _check(NotifyConfig, keys, file)


def make_web_config(options: dict[str, Any]) -> WebConfig:
    """Check the configuration of the page; otherwise like `make_config`. It has options only, and no file.

    Raises:
        StreamcamError: a value is not allowed.
    """
    return _check(WebConfig, _keys(options, None), None)


def _keys(options: dict[str, Any], file: Path | None) -> dict[str, Any]:
    keys = read_yaml(file) if file is not None else {}
    return keys | {key: value for key, value in options.items() if value is not None}


def _check(config: type[Config], keys: dict[str, Any], file: Path | None) -> Config:
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
        fields = _model_at(config, first["loc"][:-1]).model_fields
        known = [field.alias or key for key, field in fields.items()]
        close = get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"keys: {', '.join(known)}"
        return f"unknown key {'.'.join(map(str, first['loc']))!r} ({hint})"
    if first["type"] == "missing" and first["loc"] == ("sources",):
        return "no source: give a camera number, rtsp://…, a file or `sample`"
    return describe(first)


def _model_at(config: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model of what lies at a path of keys in a configuration."""
    for key in path:
        field = config.model_fields.get(str(key))
        config = _model_in(field.annotation) or config if field is not None else config
    return config


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the first model in a type such as `dict[str, Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part)) is not None), None)
