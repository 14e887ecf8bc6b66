"""Commands for live video: run, view."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from streamcam.cli.exit_process import NO_WINDOW_CODE, exit_if_stuck
from streamcam.cli.options import class_names, options_of, use_one_opencv_thread
from streamcam.config.load import make_config
from streamcam.config.run import DEFAULT_ENDPOINT, RunConfig

_DEMO = typer.Option("--demo", help="fill in what is not given: the webcam or the sample; a window or demo.mp4")


@options_of(RunConfig)
def run(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE…",
            help="0 or /dev/video0 (a webcam), rtsp://…, http://… (MJPEG, or one JPEG), a file, - (standard input), "
            "lavfi:testsrc2=size=640x480:rate=30, or sample (the clip that comes along)",
            show_default=False,
        ),
    ] = None,
    *,
    config: Annotated[Path | None, typer.Option(help="a YAML file with these options as keys; see configs/")] = None,
    demo: Annotated[bool, _DEMO] = False,
    headless: Annotated[bool, typer.Option("--headless", help="with --demo: no window")] = False,
    **options: Any,
) -> None:
    """Watch cameras, streams or files, and publish what the network sees and where.

    Exit code 3: a source gave frames but not a single window; the message says why.
    """
    options |= {"sources": sources or None, "classes": class_names(options["classes"])}
    if demo:
        from streamcam.cli.demo import demo_options

        options = demo_options(options, configured=config is not None, headless=headless)
    checked = make_config(options, file=config)
    from streamcam.sources.address import parse_address

    for source in checked.sources:  # report a mistake at once: the imports in `_run` take seconds
        parse_address(source.uri_with_login())
    _run(checked, config)


def _run(config: RunConfig, file: Path | None) -> None:
    """Assemble and run a configuration, show its status line, and print its summary. `file` is where it was read."""
    from streamcam.cli.output.live import StatusLine, print_left_behind, print_no_window, print_start, print_summary
    from streamcam.cli.output.log_lines import print_events
    from streamcam.runtime.app import assemble
    from streamcam.runtime.app import run as run_live

    use_one_opencv_thread()
    status = StatusLine()
    with ExitStack() as stack, print_events(status.console):
        live = assemble(config, stack, sinks=[status])
        print_start(live)
        with exit_if_stuck(), status:
            try:
                summary = run_live(live, show=status.show, file=file)
            finally:
                print_left_behind(live)
    print_summary(summary)
    if print_no_window(live) and not live.interrupted.is_set():
        raise typer.Exit(NO_WINDOW_CODE)


def view(
    endpoint: Annotated[str, typer.Argument(help="where `streamcam run` publishes")] = DEFAULT_ENDPOINT,
    keys: Annotated[
        Path | None, typer.Option(help="the folder with your key and the publisher's public one", show_default=False)
    ] = None,
    in_terminal: Annotated[
        bool, typer.Option("--print", help="print a line for each result, without a window")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="with --print, stop after so long")] = None,
) -> None:
    """Watch what a publisher sends, in a window. Press h in it for a list of its keys."""
    from streamcam.viewer import terminal, window

    if in_terminal:
        terminal.print_results(endpoint, keys=keys, seconds=seconds)
    else:
        window.show(endpoint, keys=keys)
