"""What `streamcam explain`, `image` and `eval` print at the end."""

import sys
from pathlib import Path

from rich.console import Console

from streamcam.errors import one_line
from streamcam.evaluate.report import Report, table
from streamcam.explain.film import Explained
from streamcam.explain.stills import ExplainedPictures

PLAIN_WIDTH = 130
"""Letters in a line of a table, where there is no terminal to ask."""


def print_explained(done: Explained, folder: Path, *, window_frames: int) -> None:
    """What came out of a file."""
    if done.window_frames < window_frames:
        print(
            f"the file is shorter than a window of {window_frames} frames: explained by one of {done.window_frames}",
            file=sys.stderr,
        )
    if done.corrupt:
        print(f"the file is damaged: in {done.corrupt} places, something did not decode", file=sys.stderr)
    print(
        f"{done.frames} frames, {done.windows} windows in {done.seconds:.1f} s ({done.frames / done.seconds:.1f} "
        f"frames/s): {', '.join(path.name for path in done.files)} in {one_line(str(folder))}"
    )


def print_stills(done: ExplainedPictures, folder: Path) -> None:
    """What came out of pictures, and which could not be read."""
    for line in done.skipped:
        print(f"skipped {one_line(line)}", file=sys.stderr)
    print(
        f"{done.pictures} pictures, {len(done.skipped)} skipped in {done.seconds:.1f} s "
        f"({done.pictures / done.seconds:.1f} pictures/s): overlays, scores.csv and sheets in {one_line(str(folder))}"
    )


def print_report(report: Report) -> None:
    """Print the figures of each method as a table."""
    console = Console()
    (console if console.is_terminal else Console(width=PLAIN_WIDTH)).print(table(report), highlight=False)
