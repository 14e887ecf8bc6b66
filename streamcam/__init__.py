"""Live video in; a network's verdict, and where in space and time it sees it, out.

Names are imported when they are first used, so that a subscriber starts without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamcam.api import stream
    from streamcam.errors import StreamcamError
    from streamcam.models.base import CamModel
    from streamcam.models.registry import load_model
    from streamcam.records import Frame, Heat, HeatSlice, Result
    from streamcam.transport.subscriber import Subscriber

_HOMES = {
    "CamModel": "models.base",
    "Frame": "records",
    "Heat": "records",
    "HeatSlice": "records",
    "Result": "records",
    "StreamcamError": "errors",
    "Subscriber": "transport.subscriber",
    "load_model": "models.registry",
    "stream": "api",
}

__all__ = ["CamModel", "Frame", "Heat", "HeatSlice", "Result", "StreamcamError", "Subscriber", "load_model", "stream"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'streamcam' has no attribute {name!r}")
    return getattr(import_module(f"streamcam.{_HOMES[name]}"), name)
