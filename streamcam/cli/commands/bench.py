"""The command bench."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from streamcam.cli.options import Backend, Device, Model, Precision, Weights


def bench(
    model: Model = "motion",
    weights: Weights = None,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    seconds: Annotated[float, typer.Option(min=0.1, help="about how long to measure")] = 40.0,
    json: Annotated[Path | None, typer.Option(help="write all figures to this file", show_default=False)] = None,
) -> None:
    """Measure what a frame costs in each engine, and how many cameras this machine can watch.

    Close other busy programs first: they would be measured as well.
    """
    from streamcam.bench.run import bench as measure
    from streamcam.cli.output.bench import print_bench
    from streamcam.cli.output.progress import Progress
    from streamcam.files import write_json
    from streamcam.sinks.file import require_folder

    if json is not None:
        require_folder(json)
    with Progress("bench", unit="s") as progress:
        report = measure(
            model,
            weights=weights,
            backend=backend,
            device=device,
            precision=precision,
            seconds=seconds,
            show=progress.show,
        )
    if json is not None:
        write_json(json, asdict(report))
    print_bench(report)
