"""What several commands are told in the same words."""

from typing import Any

import typer
from pydantic import BaseModel

from streamcam.config import RunConfig


def option(key: str, *names: str, of: type[BaseModel] = RunConfig, default: str | None = None) -> Any:
    """An option for a key of a configuration, with its description; `default` where the command has another one."""
    field = of.model_fields[key]
    usual = None if field.is_required() else field.default
    told = f" (default: {default or usual})" if default or usual not in (None, False) else ""
    return typer.Option(*names, help=f"{field.description}{told}", show_default=False)
