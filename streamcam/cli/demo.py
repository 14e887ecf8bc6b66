"""What `streamcam run --demo` fills in: the best that the machine offers, without being told anything."""

import os
from typing import Any

from streamcam.errors import StreamcamError
from streamcam.viewer.display import require_display

WEBCAM = "/dev/video0"
SECONDS = 10.0


def demo_options(options: dict[str, Any], *, configured: bool, headless: bool) -> dict[str, Any]:
    """The options of `streamcam run`, those that were not given (None) filled in.

    Args:
        options: keys of `RunConfig`.
        configured: whether a config file names the sources.
        headless: whether to do without a window, even where one could be opened.
    """
    filled = dict(options)
    if not filled.get("sources") and not configured:
        filled["sources"] = [WEBCAM if os.access(WEBCAM, os.R_OK) else "sample"]
        if filled["sources"] == ["sample"] and not filled.get("as_fast_as_possible"):
            filled["loop"] = True
    if not headless and _has_display():
        filled["view"] = True
        return filled
    if filled.get("record") is None:
        filled["record"] = "demo.mp4"
    if not any(filled.get(key) for key in ("seconds", "max_frames", "as_fast_as_possible")):
        filled["seconds"] = SECONDS
    return filled


def _has_display() -> bool:
    try:
        require_display()
    except StreamcamError:
        return False
    return True
