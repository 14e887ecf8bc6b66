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

from streamcam.config import DEFAULT_ENDPOINT, MAX_CLASSES, RunConfig, make_config
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


_OUT = typer.Option("-o", "--out", help="the folder for the outputs; a new one, or an empty one", show_default=False)
_CLASSES = typer.Option(
    "--class",
    metavar="NAME[,NAME…]",
    help="paint the strongest of these; by default the strongest of all",
    show_default=False,
)
_TOP_K = typer.Option("--top-k", min=1, max=MAX_CLASSES, help="tell of the strongest so many classes")
_EVERY = typer.Option(
    "--every", min=1, help="frames (at the model's rate) between windows; by default a heat slice's worth"
)
_FORCE = typer.Option("--force", help="write into a folder that is not empty: outputs of the same names are replaced")


def _names(classes: str | None) -> list[str] | None:
    return None if classes is None else [name.strip() for name in classes.split(",") if name.strip()]


@app.command()
def image(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="pictures, folders of them, or patterns: 'photos/**/*.jpg'")
    ],
    out: Annotated[Path, _OUT],
    model: Annotated[str, _option("model")] = "imagenet",
    weights: Annotated[str | None, _option("weights")] = None,
    classes: Annotated[str | None, _CLASSES] = None,
    top_k: Annotated[int, _TOP_K] = 5,
    device: Annotated[str, _option("device")] = "auto",
    precision: Annotated[str, _option("precision")] = "auto",
    force: Annotated[bool, _FORCE] = False,
) -> None:
    """Explain pictures: an overlay of each, scores and boxes as scores.csv, and contact sheets.

    The outputs appear together, when all are complete.
    """
    from streamcam.explain.pictures import expand

    paths = expand(files)  # a mistake is said at once: what follows takes seconds to import
    from streamcam.console import Progress, print_stills
    from streamcam.explain.stills import explain_pictures

    with Progress("image", unit="pictures") as progress:
        done = explain_pictures(
            paths,
            out,
            model=model,
            weights=weights,
            classes=_names(classes),
            top_k=top_k,
            device=device,
            precision=precision,
            force=force,
            show=lambda count: progress.show(count, len(paths)),
        )
    print_stills(done, out)


@app.command()
def explain(
    file: Annotated[str, typer.Argument(help="a recorded video, or sample (the clip that comes along)")],
    out: Annotated[Path, _OUT],
    model: Annotated[str, _option("model")] = "imagenet",
    weights: Annotated[str | None, _option("weights")] = None,
    classes: Annotated[str | None, _CLASSES] = None,
    top_k: Annotated[int, _TOP_K] = 5,
    every: Annotated[int | None, _EVERY] = None,
    start: Annotated[str, typer.Option(help="begin here: seconds, mm:ss or hh:mm:ss")] = "0",
    end: Annotated[str | None, typer.Option(help="end here; by default with the file", show_default=False)] = None,
    heat: Annotated[str, typer.Option(help="npz, zarr (chunked), or auto: npz up to 1 GB")] = "auto",
    device: Annotated[str, _option("device")] = "auto",
    precision: Annotated[str, _option("precision")] = "auto",
    force: Annotated[bool, _FORCE] = False,
) -> None:
    """Explain a recorded file: overlay.mp4 with its sound, heat.npz, sheet.png and frames.csv.

    Every frame gets the average over all windows that contain it; two runs give identical bytes.

    The outputs appear together, when all are complete.
    """
    from streamcam.console import Progress, print_explained
    from streamcam.explain.film import explain as explain_file
    from streamcam.explain.film import seconds_of
    from streamcam.models import find_spec

    with Progress("explain", unit="s") as progress:
        done = explain_file(
            file,
            out,
            model=model,
            weights=weights,
            classes=_names(classes),
            top_k=top_k,
            every=every,
            start_s=seconds_of(start),
            end_s=None if end is None else seconds_of(end),
            heat=heat,
            device=device,
            precision=precision,
            force=force,
            show=progress.show,
        )
    print_explained(done, out, window_frames=find_spec(model).clip_format.length)


@app.command("eval")
def evaluate(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="a folder of clips with truth: docs/evaluation.md")],
    model: Annotated[str, _option("model")] = "imagenet",
    weights: Annotated[str | None, _option("weights")] = None,
    contender: Annotated[
        list[str] | None, typer.Option(help="measure this heat, too, on the same network: grad-cam", show_default=False)
    ] = None,
    insertion: Annotated[
        int, typer.Option(min=0, max=100, help="steps of insertion and deletion; each costs two forwards a case")
    ] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="only so many clips, evenly spread over all")] = None,
    json: Annotated[Path | None, typer.Option(help="write all figures to this file", show_default=False)] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="write the best and worst cases to this .png or .jpg", show_default=False)
    ] = None,
    device: Annotated[str, _option("device")] = "auto",
    precision: Annotated[str, _option("precision")] = "auto",
) -> None:
    """Is the network right, and is its heat in the right place? Holds it against labels, masks and boxes."""
    from streamcam.console import Progress, print_report
    from streamcam.evaluate.run import evaluate_folder

    with Progress("eval", unit="clips") as progress:
        report = evaluate_folder(
            data,
            model=model,
            weights=weights,
            device=device,
            precision=precision,
            extra=contender or (),
            erase_steps=insertion,
            limit=limit,
            json=json,
            sheet=sheet,
            show=progress.show,
        )
    print_report(report)


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
        code = app(standalone_mode=False)  # a command gives None; Ctrl-C comes out as 130
    except (StreamcamError, TyperException) as e:
        if len(sys.argv) == 1:
            _leave(0)  # the help has been shown
        text = e.format_message() if isinstance(e, TyperException) else str(e)
        print(f"streamcam: {' '.join(text.split())}", file=sys.stderr)
        _leave(2)
    except (KeyboardInterrupt, typer.Abort):
        _leave(130)
    _leave(code or 0)


def _leave(code: int) -> NoReturn:
    """Exit, also where a thread sits in a camera or a network and cannot be woken: Python would abort on it."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
