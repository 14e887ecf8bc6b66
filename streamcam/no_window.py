"""Why a source gave no window, though it gave pictures."""

from collections.abc import Sequence

from streamcam.metrics import Metrics
from streamcam.records import ClipFormat


def without_window(names: Sequence[str], metrics: Metrics, model: str, clip_format: ClipFormat) -> dict[str, str]:
    """Which sources gave pictures and no result, and why, in a line for each."""
    without = [name for name in names if metrics.frames[name] and not metrics.results[name]]
    return {name: f"{name}: {why_no_window(name, metrics, model, clip_format)}" for name in without}


def why_no_window(name: str, metrics: Metrics, model: str, clip_format: ClipFormat) -> str:
    """Why there is none, by what the source gave.

    Args:
        name: the source's.
        metrics: what was counted.
        model: what looks at it.
        clip_format: how many frames it looks at, and how fast they follow each other.
    """
    frames, longest, pieces = metrics.frames[name], metrics.longest[name], metrics.pieces[name]
    if metrics.windows[name]:
        return f"no window of {frames} frames was computed in time (is the machine too slow for {model}?)"
    needs = f"it needs {clip_format.length} ({clip_format.length / clip_format.fps:.2f} s)"
    longest_gives = f"{longest} at {clip_format.fps:g} a second"
    if pieces > 1:
        return (
            f"no window of {model} in {frames} frames, which are {pieces} pieces: their times jump or pause, or their "
            f"size or rate changes; the longest makes {longest_gives}, and {needs}"
        )
    return f"too short for {model}: {frames} frames make {longest_gives}, and {needs}"
