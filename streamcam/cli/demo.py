"""Chooses the options of `streamcam run --demo`: the best that the machine offers."""

import os
from typing import Any

from streamcam.viewer.display import has_display

WEBCAM = "/dev/video0"
SAMPLE_WINDOW = 4
"""Frames of the sample that are judged together. The clip has cuts, and so few frames soon lie behind one."""

SECONDS = 10.0
"""How long a demo runs that records a file, if no other end is given."""


def demo_options(options: dict[str, Any], *, configured: bool, headless: bool) -> dict[str, Any]:
    """Fill in options of `streamcam run` that are None.

    Args:
        options: keys of `RunConfig`.
        configured: whether a config file names the sources.
        headless: open no window, even if there is a display.
    """
    filled = dict(options)
    if not filled.get("sources") and not configured:
        filled["sources"] = [WEBCAM if os.access(WEBCAM, os.R_OK) else "sample"]
        if filled["sources"] == ["sample"]:
            filled |= _for_the_sample(filled)
    if not headless and has_display():
        filled["view"] = True
        return filled
    if filled.get("record") is None:
        filled["record"] = "demo.mp4"
    # A recording has to end by itself: nobody closes a window.
    if not any(filled.get(key) for key in ("seconds", "max_frames", "as_fast_as_possible")):
        filled["seconds"] = SECONDS
    return filled


def _for_the_sample(options: dict[str, Any]) -> dict[str, Any]:
    """Return what suits the sample clip, which shows things more than it shows ways to move."""
    chosen: dict[str, Any] = {}
    if not options.get("as_fast_as_possible"):
        chosen["loop"] = True
    if options.get("model") is None:
        chosen["model"] = "imagenet-fast"
        if options.get("window") is None:
            chosen["window"] = SAMPLE_WINDOW
    return chosen
