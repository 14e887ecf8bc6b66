"""Commands for recorded videos, pictures and labelled clips: explain, image, eval."""

from pathlib import Path
from typing import Annotated

import typer

from streamcam.cli.options import (
    Backend,
    Device,
    Group,
    Levels,
    Model,
    Precision,
    Weights,
    class_names,
    option,
    use_one_opencv_thread,
)
from streamcam.config.run import MAX_CLASSES

_OUT = typer.Option("-o", "--out", help="the folder for the outputs; a new one, or an empty one", show_default=False)
_CLASSES = typer.Option(
    "--class",
    metavar="NAME[,NAME…]",
    help="paint the strongest of these; by default the strongest of all. Given again, each is one name, commas and all",
    show_default=False,
)
_TOP_K = typer.Option("--top-k", min=1, max=MAX_CLASSES, help="how many classes to report, the strongest first")
_EVERY = typer.Option(
    "--every", min=1, help="frames (at the model's rate) between windows; by default a heat slice's worth"
)
_SOUND = typer.Option(help="which of the file's sounds, from 0; by default the best", min=0, show_default=False)
_FORCE = typer.Option("--force", help="write into a folder that is not empty: outputs of the same names are replaced")


def explain(
    file: Annotated[str, typer.Argument(help="a recorded video, or sample (the clip that comes along)")],
    out: Annotated[Path, _OUT],
    model: Model = "motion",
    weights: Weights = None,
    group: Group = "auto",
    classes: Annotated[list[str] | None, _CLASSES] = None,
    top_k: Annotated[int, _TOP_K] = 5,
    every: Annotated[int | None, _EVERY] = None,
    start: Annotated[str, typer.Option(help="begin here: seconds, mm:ss or hh:mm:ss")] = "0",
    end: Annotated[str | None, typer.Option(help="end here; by default with the file", show_default=False)] = None,
    video_stream: Annotated[int | None, option("video_stream")] = None,
    sound_stream: Annotated[int | None, _SOUND] = None,
    levels: Levels = None,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    force: Annotated[bool, _FORCE] = False,
) -> None:
    """Explain a recorded file: overlay.mp4 with its sound, heat.npz, sheet.png and frames.csv.

    Every frame gets the average over all windows that contain it; two runs give identical bytes.

    The outputs appear together, when all are complete.
    """
    from streamcam.sources.address import parse_address

    parse_address(file)  # report a mistake at once: the imports below take seconds
    from streamcam.cli.output.progress import Progress
    from streamcam.cli.output.recorded import print_explained
    from streamcam.explain.film import explain as explain_file
    from streamcam.explain.film import seconds_of
    from streamcam.models.registry import find_spec

    use_one_opencv_thread()
    with Progress("explain", unit="s") as progress:
        done = explain_file(
            file,
            out,
            model=model,
            weights=weights,
            group=group,
            classes=class_names(classes),
            top_k=top_k,
            every=every,
            start_s=seconds_of(start),
            end_s=None if end is None else seconds_of(end),
            video_stream=video_stream,
            sound_stream=sound_stream,
            levels=levels,
            backend=backend,
            device=device,
            precision=precision,
            force=force,
            show=progress.show,
        )
    print_explained(done, out, window_frames=find_spec(model).clip_format.length)


def image(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help="pictures, folders of them, or patterns: 'photos/**/*.jpg'")
    ],
    out: Annotated[Path, _OUT],
    model: Annotated[str, option("model", default="imagenet")] = "imagenet",
    weights: Weights = None,
    group: Group = "auto",
    classes: Annotated[list[str] | None, _CLASSES] = None,
    top_k: Annotated[int, _TOP_K] = 5,
    levels: Levels = None,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    force: Annotated[bool, _FORCE] = False,
) -> None:
    """Explain pictures: an overlay of each, scores and boxes as scores.csv, and contact sheets.

    The outputs appear together, when all are complete.
    """
    from streamcam.render.image_files import expand

    paths = expand(files)  # report a mistake at once: the imports below take seconds
    from streamcam.cli.output.progress import Progress
    from streamcam.cli.output.recorded import print_stills
    from streamcam.explain.stills import explain_pictures

    use_one_opencv_thread()
    with Progress("image", unit="pictures") as progress:
        done = explain_pictures(
            paths,
            out,
            model=model,
            weights=weights,
            group=group,
            classes=class_names(classes),
            top_k=top_k,
            levels=levels,
            backend=backend,
            device=device,
            precision=precision,
            force=force,
            show=lambda count: progress.show(count, len(paths)),
        )
    print_stills(done, out)


def evaluate(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="a folder of clips with truth: docs/guides/evaluation.md")
    ],
    model: Model = "motion",
    weights: Weights = None,
    group: Group = "auto",
    method: Annotated[
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
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Measure whether the network is right, and whether its heat is in the right place, by labels, masks and boxes."""
    from streamcam.cli.output.progress import Progress
    from streamcam.cli.output.recorded import print_report
    from streamcam.evaluate.run import evaluate_folder

    use_one_opencv_thread()
    with Progress("eval", unit="clips") as progress:
        report = evaluate_folder(
            data,
            model=model,
            weights=weights,
            group=group,
            backend=backend,
            device=device,
            precision=precision,
            extra=method or (),
            erase_steps=insertion,
            limit=limit,
            json=json,
            sheet=sheet,
            show=progress.show,
        )
    print_report(report)
