"""The reference of the configuration, from the pydantic models: a section for each model, a row for each key."""

import types
import typing
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scripts.site.tables import row, table
from streamcam.config.events import EventFilesConfig, RuleConfig, Schedule, ZoneConfig
from streamcam.config.notify import AppriseConfig, CommandConfig, MqttConfig, NotifyConfig, WebhookConfig
from streamcam.config.run import RunConfig
from streamcam.config.source import SourceConfig
from streamcam.config.train import TrainConfig
from streamcam.config.web import WebConfig

SECTIONS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("run", "The keys of `streamcam run` and `streamcam.stream`.", RunConfig),
    ("sources", "The keys of each source in the list `sources`. A source may also be its URI alone.", SourceConfig),
    ("zones", "The keys of each zone, by its name.", ZoneConfig),
    ("events", "The keys of each rule, by its name. [Events](../events.md) explains them.", RuleConfig),
    ("schedule", "The keys of a rule's `schedule`.", Schedule),
    ("event_files", "What is kept of events.", EventFilesConfig),
    ("train", "The keys of `streamcam train`.", TrainConfig),
    ("web", "The options of `streamcam web`; there is no file for them.", WebConfig),
    ("notify", "The keys of `streamcam notify`.", NotifyConfig),
    ("mqtt", "The keys of an MQTT broker.", MqttConfig),
    ("webhooks", "The keys of each URL in the list `webhooks`.", WebhookConfig),
    ("commands", "The keys of each program in the list `commands`.", CommandConfig),
    ("apprise", "The keys of each service in the list `apprise`.", AppriseConfig),
)
NAMES = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
    time: "time",
    type(None): "none",
}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def reference() -> str:
    """Return the sections of all models, as Markdown."""
    return "\n".join(f"## {name}\n\n{about}\n\n{_keys(model)}\n" for name, about, model in SECTIONS)


def _keys(model: type[BaseModel]) -> str:
    rows = [
        row(
            f"`{field.alias or key}`",
            _type_name(field.annotation),
            _range(field),
            _default(field),
            field.description or "",
        )
        for key, field in model.model_fields.items()
    ]
    return table("key", "type", "range", "default", "meaning", rows=rows)


def _type_name(annotation: Any) -> str:
    """Name a type in words.

    >>> _type_name(int | None)
    'integer'
    >>> _type_name(Literal["tcp", "udp"])
    '`tcp`, `udp`'
    >>> _type_name(list[str])
    'list of text'
    >>> _type_name(dict[str, tuple[float, float]])
    'by text: (number, number)'
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_type_name(part) for part in arguments if part is not type(None))
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is dict:
        return f"by {_type_name(arguments[0])}: {_type_name(arguments[1])}"
    if origin is tuple:
        return f"({', '.join(_type_name(part) for part in arguments)})"
    if origin is list:
        return f"list of {_type_name(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        section = next(name for name, _, model in SECTIONS if model is annotation)
        return f"[{section}](#{section})"
    return NAMES[annotation]


def _range(field: FieldInfo) -> str:
    """Name the bounds of a key, such as `≥ 1, ≤ 100`."""
    bounds = [
        f"{sign} {getattr(rule, bound)}"
        for rule in field.metadata
        for bound, sign in BOUNDS.items()
        if getattr(rule, bound, None) is not None
    ]
    patterns = [f"`{rule.pattern}`" for rule in field.metadata if getattr(rule, "pattern", None)]
    lengths = [f"at least {rule.min_length}" for rule in field.metadata if getattr(rule, "min_length", None)]
    return ", ".join([*bounds, *patterns, *lengths])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    match field.default:
        case None | {}:
            return ""
        case bool(value):
            return f"`{str(value).lower()}`"
        case [*values]:
            return ", ".join(f"`{value}`" for value in values)
        case time() as at:
            return f"`{at:%H:%M}`"
        case value:
            return f"`{value}`"
