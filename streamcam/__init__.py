"""Live video in; a network's verdict, and where in space and time it sees it, out.

Each public name is imported when it is first used. So a program that only subscribes starts without torch.
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

# Where each public name is defined, relative to this package.
_MODULES = {
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
    if name not in _MODULES:
        raise AttributeError(f"module 'streamcam' has no attribute {name!r}")
    return getattr(import_module(f"streamcam.{_MODULES[name]}"), name)
