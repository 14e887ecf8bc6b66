"""The command line: options → config → the piece that does it."""

import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from streamcam.config import DEFAULT_ENDPOINT, RunConfig, make_config
from streamcam.errors import StreamcamError

app = typer.Typer(
    help="Live video in; a network's verdict, and where in space and time it sees it, out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _option(key: str, *names: str) -> Any:
    """An option for a key of `RunConfig`, with its description."""
    field = RunConfig.model_fields[key]
    default = "" if field.default in (None, False) else f" [default: {field.default}]"
    return typer.Option(*names, help=f"{field.description}{default}", show_default=False)


_DEMO = typer.Option("--demo", help="fill in what is not given: the webcam or the sample; a window or demo.mp4")


@app.command()
def run(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE…",
            help="0 or /dev/video0 (a webcam), rtsp://…, http://… (MJPEG), a file, - (standard input), "
            "lavfi:testsrc2=size=640x480:rate=30, or sample (the clip that comes along)",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str | None, _option("model")] = None,
    weights: Annotated[str | None, _option("weights")] = None,
    engine: Annotated[str | None, _option("engine")] = None,
    device: Annotated[str | None, _option("device")] = None,
    precision: Annotated[str | None, _option("precision")] = None,
    window: Annotated[int | None, _option("window")] = None,
    hop: Annotated[int | None, _option("hop")] = None,
    fps: Annotated[float | None, _option("fps")] = None,
    classes: Annotated[str | None, _option("classes")] = None,
    top_k: Annotated[int | None, _option("top_k")] = None,
    bind: Annotated[str | None, _option("bind")] = None,
    record: Annotated[Path | None, _option("record")] = None,
    save_heat: Annotated[Path | None, _option("save_heat")] = None,
    max_frames: Annotated[int | None, _option("max_frames")] = None,
    seconds: Annotated[float | None, _option("seconds")] = None,
    as_fast_as_possible: Annotated[bool | None, _option("as_fast_as_possible", "--as-fast-as-possible")] = None,
    loop: Annotated[bool | None, _option("loop", "--loop")] = None,
    view: Annotated[bool | None, _option("view", "--view")] = None,
    summary_json: Annotated[Path | None, _option("summary_json")] = None,
    config: Annotated[Path | None, typer.Option(help="a YAML file with these options as keys; see configs/")] = None,
    demo: Annotated[bool, _DEMO] = False,
    headless: Annotated[bool, typer.Option("--headless", help="with --demo: no window")] = False,
) -> None:
    """Watch cameras, streams or files, and publish what the network sees and where."""
    options = {key: value for key, value in locals().items() if key not in ("config", "demo", "headless")}
    options["sources"] = sources or None
    if demo:
        from streamcam.demo import demo_options

        options = demo_options(options, configured=config is not None, headless=headless)
    checked = make_config(options, file=config)
    from streamcam.console import StatusLine, print_start, print_summary
    from streamcam.live import assemble
    from streamcam.live import run as run_live

    with ExitStack() as stack:
        status = StatusLine()
        live = assemble(checked, stack, sinks=[status])
        print_start(live)
        with status:
            summary = run_live(live, show=status.show)
    print_summary(summary)


@app.command()
def view(
    endpoint: Annotated[str, typer.Argument(help="where `streamcam run` publishes")] = DEFAULT_ENDPOINT,
    in_terminal: Annotated[
        bool, typer.Option("--print", help="print a line for each result, without a window")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="with --print, stop after so long")] = None,
) -> None:
    """Watch what a publisher sends, in a window: press h for the keys."""
    from streamcam import viewer

    if in_terminal:
        viewer.print_results(endpoint, seconds=seconds)
    else:
        viewer.show(endpoint)


@app.command()
def models() -> None:
    """List the models."""
    from streamcam.console import print_models
    from streamcam.models import SPECS

    print_models(SPECS)


@app.command()
def doctor() -> None:
    """Say what of this machine works, and what to do about the rest."""
    from streamcam.console import print_finding
    from streamcam.doctor import examine

    for finding in examine():
        print_finding(finding)


def main() -> NoReturn:
    """Run a command; what the user can mend is said in one line, with exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(standalone_mode=False)
    except (StreamcamError, TyperException) as e:
        if len(sys.argv) == 1:
            _leave(0)  # the help has been shown
        text = e.format_message() if isinstance(e, TyperException) else str(e)
        print(f"streamcam: {' '.join(text.split())}", file=sys.stderr)
        _leave(2)
    except (KeyboardInterrupt, typer.Abort):
        _leave(130)
    _leave(0)


def _leave(code: int) -> NoReturn:
    """Exit, also where a thread sits in a camera or a network and cannot be woken: Python would abort on it."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
