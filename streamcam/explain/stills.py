"""Pictures → what a network sees in each and where: overlays, a table, contact sheets."""

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
from streamcam.engines.backends import make_runner, require_device
from streamcam.engines.device.runner import TorchRunner
from streamcam.errors import StreamcamError
from streamcam.explain.findings import COLUMNS, Finding, find, painted, strongest
from streamcam.files import require_fresh, staged
from streamcam.heat.cam import moments, to_heats
from streamcam.heat.localise import Box
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.classes import find_classes
from streamcam.models.registry import find_spec, load_model
from streamcam.records import Clip, Frame, Heat, Image, Result, on_host
from streamcam.render.contact_sheet import Cell, cut, fit, grid, text_width
from streamcam.render.image_files import read_picture, save_picture
from streamcam.render.overlay import Caption, Painter, outline, paint
from streamcam.sources.levels import parse_levels

TABLE = "scores.csv"
PAGE, PAGE_COLUMNS = 36, 3
"""Pictures on one contact sheet, and in one of its rows."""

OTHERS = 3
"""Classes on a sheet beside the painted one."""

THUMBNAIL = (200, 150)
"""(width, height) in pixels."""

LEGIBLE = 360
"""The shorter side in pixels that an overlay has at least, so that what stands on it can be read."""

LONGEST = 4096
"""The longer side in pixels that a picture is not enlarged beyond for it."""

LONGEST_STEM = 220
"""Bytes of a picture's name that its overlay's name begins with: a name has 255 at most."""

BOX_SIDE = 1280
"""Boxes are looked for in pictures of at most so many pixels, which is far finer than heat."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came out."""

    pictures: int
    skipped: tuple[str, ...]
    """What could not be read, and why."""
    seconds: float
    """How long it took."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A picture, and what the network sees in it."""

    path: Path
    image: Image
    heat: Heat
    found: Sequence[Finding]
    k: int


def explain_pictures(
    paths: Sequence[Path],
    folder: Path,
    *,
    model: str | CamModel = "imagenet",
    weights: str | None = None,
    classes: Sequence[str] | None = None,
    top_k: int = 5,
    levels: str | None = None,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    force: bool = False,
    show: Callable[[int], None] = lambda _done: None,
) -> Done:
    """Explain pictures: an overlay for each, scores.csv, and sheets; in constant memory.

    Everything appears together, at the end; after an error there is nothing.

    Args:
        paths: files; what cannot be read is skipped.
        folder: where the outputs go; it is made.
        model: one of `streamcam models`, or one that is loaded already, that looks at each frame alone.
        weights: as for `load_model`.
        classes: paint the strongest of these; by default each picture's strongest of all.
        top_k: how many classes are told of for each picture.
        levels: as for `read_picture`.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
        force: write into a folder that is not empty, and replace earlier outputs.
        show: called with the number of pictures that are done.

    Raises:
        StreamcamError: the model cannot be had or looks at clips, not a single picture can be read, or the outputs
            cannot be written.
    """
    begin_s = time.monotonic()
    require_device(device, backend=backend)
    require_fresh(folder, force=force)
    if levels is not None:
        parse_levels(levels)
    if any(path.resolve().parent == folder.resolve() for path in paths):
        raise StreamcamError(f"outputs would lie among the pictures in {folder}: give another folder")
    spec = find_spec(model) if isinstance(model, str) else model.spec
    _require_framewise(spec)
    always = find_classes(spec, classes) or []
    loaded = load_model(model, weights=weights) if isinstance(model, str) else model
    runner = make_runner(loaded, backend=backend, device=device, precision=precision)
    names = overlay_names(paths)
    skipped: list[str] = []
    with staged(folder) as hidden, closing(_Outputs(hidden, f"As {spec.name} sees them", count=len(paths))) as outputs:
        for path, image in _readable(paths, levels, skipped, show):
            outputs.add(_see(runner, path, image, top_k=top_k, always=always), names[path])
        if len(skipped) == len(paths):
            raise StreamcamError(f"cannot read {'; '.join(skipped[:3])}")
    return Done(len(paths) - len(skipped), tuple(skipped), time.monotonic() - begin_s)


def _readable(
    paths: Sequence[Path], levels: str | None, skipped: list[str], show: Callable[[int], None]
) -> Iterator[tuple[Path, Image]]:
    """The pictures, one after the other; what cannot be read goes to `skipped`, with the reason."""
    for done, path in enumerate(paths, start=1):
        try:
            image = read_picture(path, levels=levels)
        except StreamcamError as e:
            skipped.append(str(e).removeprefix("cannot read "))
        else:
            yield path, image
        show(done)


def _require_framewise(spec: ModelSpec) -> None:
    if not spec.framewise:
        raise StreamcamError(
            f"{spec.name} looks at clips of {spec.clip_format.length} frames, not at single pictures: use imagenet, "
            "resnet50, … (or for a video, streamcam explain)"
        )


def overlay_names(paths: Sequence[Path]) -> dict[Path, str]:
    """The overlay's name for each picture, different for all: cat-heat.jpg, cat-heat-2.jpg."""
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
def _see(runner: TorchRunner, path: Path, image: Image, *, top_k: int, always: Sequence[int]) -> _Seen:
    """A picture is a clip with one frame."""
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
        times=[moments(clip, np.zeros(1))],
        context=runner.context,
    )
    height, width = image.shape[:2]
    found = find(heat, pts_s=0.0, width=width, height=height, max_side=BOX_SIDE)
    return _Seen(path, image, heat, found, painted(heat, always))


class _Outputs:
    """Takes pictures one after the other; a sheet is written as soon as it is full."""

    def __init__(self, folder: Path, title: str, *, count: int) -> None:
        self._folder, self._title, self._count = folder, title, count
        self._painter = Painter(lambda result: Caption(result.frame.source))
        self._cells: list[Cell] = []
        self._pages = 0
        self._file = (folder / TABLE).open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._table = csv.writer(self._file)
        self._table.writerow(("picture", "overlay", *COLUMNS))

    def add(self, seen: _Seen, name: str) -> None:
        """Write a picture's overlay under this name, and its rows."""
        save_picture(self._folder / name, _overlay(self._painter, seen))
        self._table.writerows([str(seen.path), name, *finding.row()] for finding in seen.found)
        self._cells.append(_cell(seen, self._painter.scale(seen.path.name, seen.heat, seen.k)))
        if len(self._cells) == PAGE:
            self._write_sheet()

    def close(self) -> None:
        """Write what is left."""
        self._file.close()
        if self._cells:
            self._write_sheet()

    def _write_sheet(self) -> None:
        self._pages += 1
        name = "sheet.png" if self._count <= PAGE else f"sheet-{self._pages:03}.png"
        columns, width = min(PAGE_COLUMNS, len(self._cells)), self._cells[0].image.shape[1]
        save_picture(self._folder / name, grid(self._cells, columns=columns, width=width, title=self._title))
        self._cells = []


def _overlay(painter: Painter, seen: _Seen) -> Image:
    height, width = seen.image.shape[:2]
    factor = max(1.0, min(LEGIBLE / min(height, width), LONGEST / max(height, width)))
    size = round(width * factor), round(height * factor)
    image = seen.image if factor == 1 else fit(seen.image, *size)
    box = seen.found[seen.k].box
    larger = None if box is None else Box(*(round(edge * factor) for edge in box))
    result = Result(Frame(image, 0, 0.0, captured_ns=0, source=seen.path.name), seen.heat)
    return on_host(painter.overlay(result, k=seen.k, box=larger))


def _cell(seen: _Seen, scale: float) -> Cell:
    """The picture, beside it the heat and the box, and below them what the network takes it for."""
    width, height = THUMBNAIL
    factor = min(width / seen.image.shape[1], height / seen.image.shape[0])
    small = fit(seen.image, *(max(1, round(side * factor)) for side in seen.image.shape[1::-1]))
    warm = paint(small, seen.heat, k=seen.k, pts_s=0.0, scale=scale)
    box = seen.found[seen.k].box
    if box is not None:
        outline(warm, Box(*(round(edge * factor) for edge in box)))
    both = np.concatenate([fit(small, width, height), fit(warm, width, height)], axis=1)
    first = seen.found[seen.k]
    others = [found for k, found in enumerate(seen.found) if k != seen.k][:OTHERS]
    room = both.shape[1] // OTHERS - text_width(", ")
    shown = ", ".join(cut(other.label, room, end=_percent(other)) for other in others)
    return Cell(both, ((first.label, _percent(first)), shown, seen.path.name))


def _percent(found: Finding) -> str:
    return f" {found.score * 100:.0f} %"
