"""What several commands are told in the same words."""

from typing import Any

import typer
from pydantic import BaseModel

from streamcam.config import RunConfig


def one_thread_for_pictures() -> None:
    """Keep OpenCV to the thread that calls it: its pool gains nothing on small pictures, and takes the network's cores.

    It holds for the whole process, which is why only the command line does it.
    """
    import cv2

    cv2.setNumThreads(1)


def names_given(texts: list[str] | None) -> str | list[str] | None:
    """What an option names: given once, several names with commas between them; given again, each is one name."""
    return texts[0] if texts and len(texts) == 1 else texts or None


def option(key: str, *names: str, of: type[BaseModel] = RunConfig, default: str | None = None) -> Any:
    """An option for a key of a configuration, with its description; `default` where the command has another one."""
    field = of.model_fields[key]
    usual = None if field.is_required() else field.default
    told = f" (default: {default or usual})" if default or usual not in (None, False) else ""
    return typer.Option(*names, help=f"{field.description}{told}", show_default=False)
