"""Prints the results of `streamcam explain`, `image` and `eval`."""

import sys
from pathlib import Path

from streamcam.cli.output.tables import table_console
from streamcam.errors import one_line
from streamcam.evaluate.report import Report, table
from streamcam.explain.film import Explained
from streamcam.explain.stills import ExplainedPictures


def print_explained(done: Explained, folder: Path, *, window_frames: int) -> None:
    """Print what has been written for a video file, and what was wrong with it."""
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
    """Print what has been written for pictures, and which could not be read."""
    for line in done.skipped:
        print(f"skipped {one_line(line)}", file=sys.stderr)
    print(
        f"{done.pictures} pictures, {len(done.skipped)} skipped in {done.seconds:.1f} s "
        f"({done.pictures / done.seconds:.1f} pictures/s): overlays, scores.csv and sheets in {one_line(str(folder))}"
    )


def print_report(report: Report) -> None:
    """Print a table of methods by figures."""
    table_console().print(table(report), highlight=False)
