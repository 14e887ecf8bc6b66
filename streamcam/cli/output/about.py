"""Prints for `streamcam models` and `streamcam doctor`."""

from rich.console import Console
from rich.table import Table

from streamcam.cli.doctor import Finding
from streamcam.models.spec import ModelSpec

LEGEND = """exact: the heat, pooled, gives the logits
behind: how long after the moment that it speaks of the newest heat comes, in either engine (–: cannot be streamed)
streamcam models --analyze NAME: what a network sees of time, and what streaming it brings"""


def print_models(specs: dict[str, ModelSpec]) -> None:
    """Print a table of models, and below it what each is and where its weights come from."""
    table = Table(caption=LEGEND, caption_justify="left")
    for column in ("model", "window", "fps", "stride", "slices", "classes", "exact", "behind, window", "stream"):
        table.add_column(column, no_wrap=column in ("model", "window"))
    for spec in specs.values():
        clip_format = spec.clip_format
        window = f"{clip_format.length} × {clip_format.crop[0]}×{clip_format.crop[1]}"
        row = (window, f"{clip_format.fps:g}", str(spec.temporal_stride), str(spec.slices))
        behind = [_seconds(spec.window_lookahead_s), _seconds(spec.stream_lookahead_s)]
        table.add_row(spec.name, *row, str(len(spec.classes)), "yes", *behind)
    console = Console()
    console.print(table)
    about: dict[str, list[str]] = {}  # models that share a description share a line
    for spec in specs.values():
        about.setdefault(f"{spec.summary}. Weights: {spec.weights_source}.", []).append(spec.name)
    for text, names in about.items():
        console.print(f"[bold]{', '.join(names)}[/]: {text}", highlight=False)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def print_finding(finding: Finding) -> None:
    """Print one line of the doctor's report."""
    mark = "[green]ok[/]" if finding.works else "[yellow]--[/]"
    Console().print(f"{mark}  [bold]{finding.name}[/]: {finding.detail}", highlight=False, soft_wrap=True)
