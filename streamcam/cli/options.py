"""Options that several commands share, and those that are made from a configuration."""

import inspect
import types
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streamcam.config import RunConfig

PLAIN = (bool, int, float, str, Path)
"""Types whose values people write on a command line."""


def one_thread_for_pictures() -> None:
    """Keep OpenCV to the thread that calls it: its pool gains nothing on small pictures, and takes the network's cores.

    The setting holds for the whole process, which is why only the command line makes it.
    """
    import cv2

    cv2.setNumThreads(1)


def names_given(texts: list[str] | None) -> str | list[str] | None:
    """Return what an option names: given once, names with commas between them; given again, each is one name."""
    return texts[0] if texts and len(texts) == 1 else texts or None


def option(key: str, *, of: type[BaseModel] = RunConfig, default: str | None = None) -> Any:
    """Make the option of one key of a configuration. `default`: this command's own, for the help text."""
    return typer.Option(help=_help(of.model_fields[key], default), show_default=False)


def options_of(config: type[BaseModel], **declarations: tuple[str, ...]) -> Callable[[Callable[..., None]], Any]:
    """Give a command an option for each plain key of a configuration, in place of its `**options`.

    A key whose value is a model or a list of models has no option: it is for files. What is not given is None, so that
    the file's value holds.

    Args:
        config: the configuration.
        declarations: names of options that differ from their key's, such as `out=("-o", "--out")`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)
        written = [p for p in signature.parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
        names = {parameter.name for parameter in written}
        made = [
            _parameter(key, field, declarations.get(key))
            for key, field in config.model_fields.items()
            if key not in names and _plain_type(field.annotation) is not None
        ]
        arguments = [p for p in written if p.kind is not Parameter.KEYWORD_ONLY]
        others = [p for p in written if p.kind is Parameter.KEYWORD_ONLY]
        # Typer reads this in place of the function's own signature.
        command.__signature__ = signature.replace(parameters=[*arguments, *made, *others])  # type: ignore[attr-defined]
        return command

    return decorate


def _parameter(key: str, field: FieldInfo, declared: tuple[str, ...] | None) -> Parameter:
    plain = _plain_type(field.annotation)
    assert plain is not None
    names = declared or (f"--{key.replace('_', '-')}",)
    default = ... if field.is_required() else None
    info = typer.Option(default, *names, help=_help(field, None), show_default=False)
    return Parameter(key, Parameter.KEYWORD_ONLY, default=info, annotation=plain if default is ... else plain | None)


def _help(field: FieldInfo, default: str | None) -> str:
    usual = default or (None if field.is_required() else field.default)
    return f"{field.description}{'' if usual in (None, False) else f' (default: {usual})'}"


def _plain_type(annotation: Any) -> Any:
    """Return the type of the option for values of a type: `list[str]` for several names; None for no option."""
    if get_origin(annotation) is Literal:
        return str  # pydantic checks the value, in the words that a file gets
    if isinstance(annotation, types.UnionType):
        found = [plain for part in get_args(annotation) if (plain := _plain_type(part)) is not None]
        return next((plain for plain in found if plain == list[str]), found[0] if found else None)
    return annotation if annotation in PLAIN or annotation == list[str] else None
