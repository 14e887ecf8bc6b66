"""Commands that make networks: record, check, train, quantize."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streamcam.cli.options import Weights, options_of, use_one_opencv_thread
from streamcam.config.load import make_train_config
from streamcam.config.run import RunConfig
from streamcam.config.train import TrainConfig


def record(
    label: Annotated[str, typer.Option(help="what the clips show: the name of their class", show_default=False)],
    source: Annotated[str, typer.Argument(help="0 or /dev/video0 (a webcam), rtsp://…, http://…, or a file")] = "0",
    out: Annotated[Path, typer.Option("-o", "--out", help="the folder with a folder of clips for each class")] = Path(
        "clips"
    ),
    count: Annotated[int, typer.Option(min=1, help="how many clips")] = 10,
    seconds: Annotated[float, typer.Option(min=0.2, help="how long each is")] = 3.0,
    pause: Annotated[float, typer.Option(min=0.0, help="seconds to count down before each")] = 3.0,
    person: Annotated[
        str | None, typer.Option(help="who is in them, so that nobody is in training and validation both")
    ] = None,
    no_window: Annotated[
        bool, typer.Option("--no-window", help="count down on the terminal, and keep every clip")
    ] = False,
) -> None:
    """Record labelled clips from a camera, for `streamcam train`; those in the folder stay.

    Where there is a display, a window shows the camera, counts down, and plays each clip: keep it, or discard it.
    """
    import cv2  # noqa: F401  # before PyAV: each has a libxcb of its own, and windows hang with that of PyAV

    from streamcam.cli.output.recording import RecordingLine, RecordingWindow, print_recorded
    from streamcam.sources.base import open_source
    from streamcam.train.collect import class_folder, collect, person_name
    from streamcam.viewer.display import has_display

    folder, person = class_folder(out, label), None if person is None else person_name(person)
    in_window = not no_window and has_display()
    with closing(open_source(source)) as camera:
        camera.open()
        with RecordingWindow(label, count, person=person) if in_window else RecordingLine(label, count) as display:
            paths = collect(
                camera,
                folder,
                count=count,
                seconds=seconds,
                pause_s=pause,
                person=person,
                review=in_window,
                show=display.show,
            )
    print_recorded(len(paths), label, folder)


def check(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help=TrainConfig.model_fields["data"].description, show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="the folder for figures and pictures (default: DATA-check, beside the data)"),
    ] = None,
    multi_label: Annotated[
        bool, typer.Option("--multi-label", help=TrainConfig.model_fields["multi_label"].description)
    ] = False,
) -> None:
    """Look at labelled clips before `streamcam train` learns from them, and warn of what could mislead a network.

    Writes check.jpg, which shows clips of each class, and check.json with all figures.
    """
    from streamcam.cli.output.progress import Progress
    from streamcam.cli.output.training import print_findings
    from streamcam.train.check.run import check as check_dataset
    from streamcam.train.check.run import output_folder, read

    folder = output_folder(data, out)
    use_one_opencv_thread()
    with Progress("read", unit="files") as progress:
        dataset = read(data, multi_label=multi_label, progress=progress.each)
    with Progress("check", unit="clips") as progress:
        findings = check_dataset(dataset, data, folder, show=progress.show)
    print_findings(findings, folder)


@options_of(TrainConfig, out=("-o", "--out"), background=("--background/--no-background",))
def train(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help=TrainConfig.model_fields["data"].description, show_default=False)
    ],
    *,
    config: Annotated[Path | None, typer.Option(help="a YAML file with these options as keys")] = None,
    **options: Any,
) -> None:
    """Train a network on labelled clips. Then `streamcam run --model OUT/best.safetensors` watches with it."""
    checked = make_train_config({"data": data, **options}, file=config)
    from streamcam.cli.output.training import Training, print_trained
    from streamcam.train.requirements import require_training

    require_training()
    from streamcam.train.check.run import brief_check
    from streamcam.train.data.dataset import Dataset
    from streamcam.train.fit import train as fit

    with Training(checked.epochs) as display:

        def found(dataset: Dataset) -> None:
            display.found(dataset)
            for line in [] if checked.resume else brief_check(dataset, checked.data, show=display.look_at):
                display.say(line)

        trained = fit(checked, show=display, progress=display.look_into, found=found, say=display.say)
    if trained.is_main:
        print_trained(trained.checkpoint, score=trained.score, epochs=trained.epochs)


def quantize(
    source: Annotated[
        str, typer.Argument(help="0 or /dev/video0 (a webcam), rtsp://…, http://…, or a file", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="the checkpoint to write: NAME.safetensors")],
    model: Annotated[str, typer.Option(help=RunConfig.model_fields["model"].description, show_default=False)],
    weights: Weights = None,
    clips: Annotated[int, typer.Option(min=1, max=1000, help="learn from so many clips; a file may be shorter")] = 48,
    force: Annotated[bool, typer.Option("--force", help="replace a checkpoint of that name")] = False,
) -> None:
    """Make a model fast on CPUs: quantise its features to int8, with ranges of values measured on your own video.

    A third as many clips again serve to measure how far int8 is from float32.
    """
    from streamcam.cli.output.progress import Progress
    from streamcam.cli.output.training import print_quantized
    from streamcam.train.quantize import quantize_source, require_quantizing

    require_quantizing(out, force=force)
    use_one_opencv_thread()
    with Progress("quantize", unit="clips") as progress:
        fidelity = quantize_source(source, out, model=model, weights=weights, count=clips, show=progress.show)
    print_quantized(out, fidelity)


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=RunConfig.model_fields["model"].description, show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="the graph to write: NAME.onnx")],
    stream: Annotated[
        bool, typer.Option("--stream", help="take frame by frame, with what is kept of earlier ones; not whole clips")
    ] = False,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option(help="fp16: half the size, computed in float32; int8: faster on some CPUs, and less exact"),
    ] = "fp32",
    clips: Annotated[
        str, typer.Option(metavar="SOURCE", help="what int8 learns its ranges from, and what the graph is compared on")
    ] = "sample",
    count: Annotated[int, typer.Option(min=1, max=1000, help="int8: learn from so many clips")] = 16,
    weights: Weights = None,
    force: Annotated[bool, typer.Option("--force", help="replace a graph of that name")] = False,
) -> None:
    """Write a model as one graph that needs no PyTorch, for ONNX Runtime, OpenVINO and browsers."""
    from streamcam.cli.output.progress import Progress
    from streamcam.cli.output.training import print_exported
    from streamcam.export.requirements import require_exporting

    require_exporting(out, force=force)
    from streamcam.export.write import export_model

    use_one_opencv_thread()
    with Progress("read", unit="clips") as progress:
        card = export_model(
            model,
            out,
            weights=weights,
            stream=stream,
            precision=precision,
            clips=clips,
            count=count,
            show=progress.show,
        )
    print_exported(out, card)
