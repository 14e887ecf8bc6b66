"""What several commands are told in the same words."""

from typing import Any

import typer
from pydantic import BaseModel

from streamcam.config import RunConfig


def option(key: str, *names: str, of: type[BaseModel] = RunConfig) -> Any:
    """An option for a key of a configuration, with its description."""
    field = of.model_fields[key]
    default = "" if field.default in (None, False) or field.is_required() else f" (default: {field.default})"
    return typer.Option(*names, help=f"{field.description}{default}", show_default=False)
