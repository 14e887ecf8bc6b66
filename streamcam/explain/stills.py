"""Explain pictures: what a network sees in each, and where, as overlays, a table and contact sheets."""

import csv
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from streamcam.clips import prepare, transform_of
from streamcam.config.groups import read_groups
from streamcam.engines.backends import make_runner, require_device
from streamcam.engines.device.runner import TorchRunner
from streamcam.errors import StreamcamError
from streamcam.explain.findings import COLUMNS, Finding, find, painted, strongest
from streamcam.files import require_fresh, staged
from streamcam.heat.localise import Box
from streamcam.heat.results import heat_times, to_heats
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.classes import find_classes, grouped
from streamcam.models.registry import find_spec, load_model
from streamcam.records import Clip, Frame, Heat, Image, Result, on_host
from streamcam.render.canvas import Caption, outline
from streamcam.render.contact_sheet import Cell, cut, fit, grid, text_width
from streamcam.render.image_files import read_picture, save_picture
from streamcam.render.overlay import Painter, paint
from streamcam.sources.pixels.levels import parse_levels

TABLE = "scores.csv"
PAGE, PAGE_COLUMNS = 36, 3
"""Pictures on one contact sheet, and in one of its rows."""

OTHERS = 3
"""The number of classes that a sheet names besides the painted one."""

THUMBNAIL = (200, 150)
"""(width, height) of a picture on a sheet, in pixels."""

LEGIBLE = 360
"""Small pictures are enlarged until their shorter side has this many pixels, so that the overlay's text is legible."""

LONGEST = 4096
"""No picture is enlarged beyond this many pixels of its longer side."""

LONGEST_STEM = 220
"""Bytes of a picture's name that go into its overlay's name: file systems allow 255 in all."""

BOX_SIDE = 1280
"""Boxes are found in pictures whose longer side has at most this many pixels, which is far finer than heat."""


@dataclass(frozen=True, slots=True)
class ExplainedPictures:
    """The count of explained pictures, and of those that could not be read."""

    pictures: int
    skipped: tuple[str, ...]
    """The pictures that could not be read, each with the reason."""
    seconds: float
    """The time that it took."""


@dataclass(frozen=True, slots=True, eq=False)
class _ExplainedPicture:
    """A picture, and what the network sees in it."""

    path: Path
    image: Image
    heat: Heat
    findings: Sequence[Finding]
    k: int
    """The index of the painted class, in the heat and in the findings."""


def explain_pictures(
    paths: Sequence[Path],
    folder: Path,
    *,
    model: str | CamModel = "imagenet",
    weights: str | None = None,
    group: str = "auto",
    classes: Sequence[str] | None = None,
    top_k: int = 5,
    levels: str | None = None,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    force: bool = False,
    show: Callable[[int], None] = lambda _done: None,
) -> ExplainedPictures:
    """Explain pictures: write an overlay of each, scores.csv and contact sheets, in constant memory.

    The outputs appear together at the end; after an error there are none.

    Args:
        paths: files; those that cannot be read are skipped.
        folder: the folder for the outputs; it is made.
        model: one of `streamcam models`, or a loaded model. It looks at each frame alone.
        weights: as for `load_model`.
        group: as for `read_groups`.
        classes: paint the strongest of these; by default the strongest of all, picture by picture.
        top_k: the number of classes that the table holds for each picture.
        levels: as for `read_picture`.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
        force: write into a folder that is not empty, and replace earlier outputs.
        show: called with the number of pictures that are done.

    Raises:
        StreamcamError: the model cannot be loaded or looks at clips, no picture can be read, or the outputs cannot be
            written.
    """
    began_s = time.monotonic()
    require_device(device, backend=backend)
    _require_arguments(paths, folder, levels, force=force)
    spec = find_spec(model) if isinstance(model, str) else model.spec
    _require_framewise(spec)
    groups = read_groups(group, spec.classes)
    spec = grouped(spec, groups)
    always = find_classes(spec, classes) or []
    loaded = (load_model(model, weights=weights) if isinstance(model, str) else model).grouped(groups)
    runner = make_runner(loaded, backend=backend, device=device, precision=precision)
    names = overlay_names(paths)
    skipped: list[str] = []
    with staged(folder) as hidden, closing(_Outputs(hidden, f"As {spec.name} sees them", count=len(paths))) as outputs:
        for path, image in _readable(paths, levels, skipped, show):
            outputs.add(_explain(runner, path, image, top_k=top_k, always=always), names[path])
        if len(skipped) == len(paths):
            raise StreamcamError(f"cannot read {'; '.join(skipped[:3])}")
    return ExplainedPictures(len(paths) - len(skipped), tuple(skipped), time.monotonic() - began_s)


def _require_arguments(paths: Sequence[Path], folder: Path, levels: str | None, *, force: bool) -> None:
    """Check, before the model is loaded, what can be known without it."""
    require_fresh(folder, force=force)
    if levels is not None:
        parse_levels(levels)
    if any(path.resolve().parent == folder.resolve() for path in paths):
        raise StreamcamError(f"outputs would lie among the pictures in {folder}: give another folder")


def _require_framewise(spec: ModelSpec) -> None:
    if not spec.framewise:
        raise StreamcamError(
            f"{spec.name} looks at clips of {spec.clip_format.length} frames, not at single pictures: use imagenet, "
            "resnet50, … (or for a video, streamcam explain)"
        )


def _readable(
    paths: Sequence[Path], levels: str | None, skipped: list[str], show: Callable[[int], None]
) -> Iterator[tuple[Path, Image]]:
    """Read the pictures one by one. Append to `skipped` those that cannot be read, with the reason."""
    for done, path in enumerate(paths, start=1):
        try:
            image = read_picture(path, levels=levels)
        except StreamcamError as e:
            skipped.append(str(e).removeprefix("cannot read "))
        else:
            yield path, image
        show(done)


def overlay_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Name each picture's overlay, such as cat-heat.jpg. Equal names are numbered: cat-heat-2.jpg.

    Upper and lower case count as equal, because some file systems do not tell them apart.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in paths:
        stem = path.stem
        while len(os.fsencode(stem)) > LONGEST_STEM:
            stem = stem[:-1]
        name, count = f"{stem}-heat.jpg", 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-heat-{count}.jpg"
        taken.add(name.casefold())
        names[path] = name
    return names


@torch.inference_mode()
def _explain(runner: TorchRunner, path: Path, image: Image, *, top_k: int, always: Sequence[int]) -> _ExplainedPicture:
    """Run the network on one picture, as a clip of one frame at second 0."""
    clip_format = runner.spec.clip_format
    frames = prepare(image, clip_format)[None]
    frame = Frame(image, 0, 0.0, captured_ns=0, source=path.name)
    clip = Clip(frames, np.zeros(1), index=0, last=frame, transform=transform_of(clip_format))
    output = runner.run([frames])
    logits, cube = output.logits.cpu().numpy(), output.cube.cpu()
    classes = np.array(strongest(logits[0], top_k=top_k, always=always))
    (heat,) = to_heats(
        logits,
        classes[None],
        cube[:, classes].numpy(),
        cube.mean(1).numpy(),
        clips=[clip],
        times=[heat_times(clip, np.zeros(1))],
        context=runner.context,
    )
    height, width = image.shape[:2]
    findings = find(heat, pts_s=0.0, width=width, height=height, max_side=BOX_SIDE)
    return _ExplainedPicture(path, image, heat, findings, painted(heat, always))


class _Outputs:
    """The outputs of all pictures. A sheet is written as soon as it is full, so that memory stays constant."""

    def __init__(self, folder: Path, title: str, *, count: int) -> None:
        self._folder, self._title, self._count = folder, title, count
        self._painter = Painter(lambda result: Caption(result.frame.source))
        self._cells: list[Cell] = []
        self._pages = 0
        self._file = (folder / TABLE).open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._table = csv.writer(self._file)
        self._table.writerow(("picture", "overlay", *COLUMNS))

    def add(self, picture: _ExplainedPicture, name: str) -> None:
        """Write a picture's overlay as `name`, add its rows to the table, and put it on a sheet."""
        save_picture(self._folder / name, _overlay(self._painter, picture))
        self._table.writerows([str(picture.path), name, *finding.row()] for finding in picture.findings)
        self._cells.append(_cell(picture, self._painter.scale(picture.path.name, picture.heat, picture.k)))
        if len(self._cells) == PAGE:
            self._write_sheet()

    def close(self) -> None:
        """Close the table, and write the last sheet."""
        self._file.close()
        if self._cells:
            self._write_sheet()

    def _write_sheet(self) -> None:
        self._pages += 1
        name = "sheet.png" if self._count <= PAGE else f"sheet-{self._pages:03}.png"
        columns, width = min(PAGE_COLUMNS, len(self._cells)), self._cells[0].image.shape[1]
        save_picture(self._folder / name, grid(self._cells, columns=columns, width=width, title=self._title))
        self._cells = []


def _overlay(painter: Painter, picture: _ExplainedPicture) -> Image:
    """Paint the overlay, on an enlarged picture if it is so small that text would be illegible."""
    height, width = picture.image.shape[:2]
    factor = max(1.0, min(LEGIBLE / min(height, width), LONGEST / max(height, width)))
    size = round(width * factor), round(height * factor)
    image = picture.image if factor == 1 else fit(picture.image, *size)
    box = picture.findings[picture.k].box
    larger = None if box is None else Box(*(round(edge * factor) for edge in box))
    result = Result(Frame(image, 0, 0.0, captured_ns=0, source=picture.path.name), picture.heat)
    return on_host(painter.overlay(result, k=picture.k, box=larger))


def _cell(picture: _ExplainedPicture, scale: float) -> Cell:
    """Draw the picture beside the picture with heat and box, and write the strongest classes below."""
    width, height = THUMBNAIL
    factor = min(width / picture.image.shape[1], height / picture.image.shape[0])
    small = fit(picture.image, *(max(1, round(side * factor)) for side in picture.image.shape[1::-1]))
    heated = paint(small, picture.heat, k=picture.k, pts_s=0.0, scale=scale)
    shown = picture.findings[picture.k]
    if shown.box is not None:
        outline(heated, Box(*(round(edge * factor) for edge in shown.box)))
    pair = np.concatenate([fit(small, width, height), fit(heated, width, height)], axis=1)
    others = [finding for k, finding in enumerate(picture.findings) if k != picture.k][:OTHERS]
    width_each = pair.shape[1] // OTHERS - text_width(", ")
    names = ", ".join(cut(other.label, width_each, end=_percent(other)) for other in others)
    return Cell(pair, ((shown.label, _percent(shown)), names, picture.path.name))


def _percent(finding: Finding) -> str:
    return f" {finding.score * 100:.0f} %"
