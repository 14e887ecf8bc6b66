"""Options that several commands share, and options that are made from a configuration's keys."""

import inspect
import types
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamcam.config.run import RunConfig

PLAIN = (bool, int, float, str, Path)
"""Types whose values can be written on a command line."""


def use_one_opencv_thread() -> None:
    """Keep OpenCV to the thread that calls it. Its pool gains nothing on small pictures, and takes the network's cores.

    The setting holds for the whole process. So only the command line makes it, not the library.
    """
    import cv2

    cv2.setNumThreads(1)


def class_names(values: list[str] | None) -> str | list[str] | None:
    """Read the values of a repeatable option: a single one holds names with commas, each of several is one name."""
    return values[0] if values and len(values) == 1 else values or None


def option(key: str, *, of: type[BaseModel] = RunConfig, default: str | None = None) -> Any:
    """Make the option of one key of a configuration.

    Args:
        key: of the configuration.
        of: the configuration.
        default: this command's own default, for the help text.
    """
    return typer.Option(help=_help(of.model_fields[key], default), show_default=False)


def options_of(config: type[BaseModel], **declarations: tuple[str, ...]) -> Callable[[Callable[..., None]], Any]:
    """Give a command an option for each plain key of a configuration, in place of its `**options`.

    A key whose value is a model, or a list of models, gets no option: it can be set in a file only. The default of each
    option is None, which leaves the file's value as it is.

    Args:
        config: the configuration.
        declarations: option names that differ from the key's, such as `out=("-o", "--out")`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        declared = [p for p in signature.parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
        names = {parameter.name for parameter in declared}
        generated = [
            _parameter(key, field, declarations.get(key))
            for key, field in config.model_fields.items()
            if key not in names and _plain_type(field.annotation) is not None
        ]
        arguments = [p for p in declared if p.kind is not Parameter.KEYWORD_ONLY]
        options = [p for p in declared if p.kind is Parameter.KEYWORD_ONLY]
        # Typer reads this in place of the function's own signature. The help lists options in this order.
        command.__signature__ = signature.replace(parameters=[*arguments, *generated, *options])  # type: ignore[attr-defined]
        return command

    return decorate


def _parameter(key: str, field: FieldInfo, names: tuple[str, ...] | None) -> Parameter:
    """Make the parameter of a command for one key of a configuration."""
    plain = _plain_type(field.annotation)
    assert plain is not None
    names = names or (f"--{key.replace('_', '-')}",)
    default = ... if field.is_required() else None
    info = typer.Option(default, *names, help=_help(field, None), show_default=False)
    return Parameter(key, Parameter.KEYWORD_ONLY, default=info, annotation=plain if default is ... else plain | None)


def _help(field: FieldInfo, default: str | None) -> str:
    shown = default or (None if field.is_required() else field.default)
    return f"{field.description}{'' if shown in (None, False) else f' (default: {shown})'}"


def _plain_type(annotation: Any) -> Any:
    """Return the type of an option for values of a key's type; None for a type that has no option.

    A union gives its `list[str]` if it has one, which is a repeatable option, or else its first plain type.
    """
    if get_origin(annotation) is Literal:
        return str  # pydantic checks the value, so the message is the same as for a file
    if isinstance(annotation, types.UnionType):
        found = [plain for part in get_args(annotation) if (plain := _plain_type(part)) is not None]
        return next((plain for plain in found if plain == list[str]), found[0] if found else None)
    return annotation if annotation in PLAIN or annotation == list[str] else None


# Options of several commands, with the descriptions of `RunConfig`.
Model = Annotated[str, option("model")]
Weights = Annotated[str | None, option("weights")]
Group = Annotated[str, option("group")]
Backend = Annotated[str, option("backend")]
Device = Annotated[str, option("device")]
Precision = Annotated[str, option("precision")]
Levels = Annotated[str | None, option("levels")]
