"""Sinks that write files: overlays as video, heat as arrays. A file appears under its name when it is complete."""

from streamcam.recorder.file import path_for, require_folder
from streamcam.recorder.heat import HeatRecorder
from streamcam.recorder.unfinished import unfinished_name
from streamcam.recorder.video import VideoRecorder
from streamcam.recorder.zarr_heat import ZarrRecorder, require_zarr

__all__ = [
    "HeatRecorder",
    "VideoRecorder",
    "ZarrRecorder",
    "path_for",
    "require_folder",
    "require_zarr",
    "unfinished_name",
]
