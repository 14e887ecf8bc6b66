"""What `streamcam models --analyze` prints."""

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamcam.bench.temporal import TemporalReport, inspect_temporal
from streamcam.models.registry import load_model


def analyze_and_print(name: str, *, weights: str | None) -> None:
    """Load a model, look into it, and say what was found."""
    with Console(stderr=True).status(f"measuring {name}: up to a few minutes…"):
        analysis = inspect_temporal(load_model(name, weights=weights))
    console = Console()
    table = Table(title=escape(analysis.spec.name), title_justify="left", show_header=False)
    for row in rows(analysis, random=weights == "none"):
        table.add_row(*row)
    console.print(table, highlight=False)
    if (text := warning(analysis)) is not None:
        console.print(f"[yellow]{text}[/]", highlight=False)


def rows(analysis: TemporalReport, *, random: bool) -> Iterator[tuple[str, str]]:
    """What was found, in words; `random` where the weights are."""
    spec, span, speed = analysis.spec, analysis.span, analysis.speed
    fps = spec.clip_format.fps
    yield "window", f"{spec.clip_format.length} frames at {fps:g} a second"
    yield "a heat slice sees", f"{span.receptive_field} frames, {span.receptive_field / fps:.2f} s"
    yield "and comes", f"every {span.stride} frames" if span.stride > 1 else "for every frame"
    yield "lookahead as a stream", f"{span.lookahead:g} frames, {span.lookahead / fps:.2f} s"
    yield "padding in time touches", f"{analysis.padded:.0%} of a window's computation"
    yield "multiplications", f"{analysis.window_macs / 1e9:.3g} G a window, {analysis.frame_macs / 1e9:.3g} G a frame"
    yield (
        "measured",
        (f"{speed.window_ms:.1f} ms a window, {speed.stream_ms:.1f} ms a frame ({speed.device}, {speed.precision})"),
    )
    for hop in sorted({1, span.stride}):
        yield (
            f"stream is faster, hop {hop}",
            (
                f"{speed.window_ms / speed.stream_ms / hop:.1f} times (by multiplications: "
                f"{analysis.window_macs / analysis.frame_macs / hop:.1f})"
            ),
        )
    yield "stream says what window says", agreement(analysis, random=random)
    yield "--engine auto takes", "window" if analysis.pads_time else "stream"


def agreement(analysis: TemporalReport, *, random: bool) -> str:
    """How far both engines agree."""
    measured = analysis.agreement
    if measured is None:
        return "yes: there is no padding in time"
    text = (
        f"top-1 in {measured.top1:.0%} of {measured.windows} windows; centred cosine of the heat {measured.cosine:.2f}"
    )
    return f"{text}; of random weights, which says little of trained ones" if random else text


def warning(analysis: TemporalReport) -> str | None:
    """What to think of twice before this network is streamed."""
    seen, length = analysis.span.receptive_field, analysis.spec.clip_format.length
    if not analysis.pads_time or seen <= length:
        return None
    return (
        f"A slice sees {seen} frames, and a window has {length}: in windows the rest of what it sees is padding, and "
        f"so it was trained. As a stream it sees real frames there, and is {analysis.span.lookahead:g} of them late."
    )
