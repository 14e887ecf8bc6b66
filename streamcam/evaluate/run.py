"""The work of `streamcam eval`: load a model by its name, evaluate it, and write a JSON file and a sheet."""

import os
from collections.abc import Sequence
from pathlib import Path

from streamcam.config.groups import read_groups
from streamcam.engines.backends import require_device
from streamcam.errors import StreamcamError
from streamcam.evaluate.dataset import find_items
from streamcam.evaluate.report import Report, Show, evaluate
from streamcam.evaluate.sheets import draw_sheet
from streamcam.files import write_json
from streamcam.models.registry import find_spec, load_model
from streamcam.render.image_files import save_picture


def evaluate_folder(
    data: Path,
    *,
    model: str,
    weights: str | None,
    group: str,
    backend: str,
    device: str,
    precision: str,
    extra: Sequence[str],
    erase_steps: int,
    limit: int | None,
    json: Path | None,
    sheet: Path | None,
    show: Show,
) -> Report:
    """Evaluate a model, and write the files that are asked for.

    Mistakes in the arguments are found before the model is loaded.

    Args:
        data: the folder of clips with truth.
        model: a name of `streamcam models`, or a checkpoint.
        weights: as for `load_model`.
        group: as for `read_groups`.
        backend: as for `make_engine`.
        device: as for `make_engine`.
        precision: as for `make_engine`.
        extra: as for `evaluate`.
        erase_steps: as for `evaluate`.
        limit: as for `evaluate`.
        json: write the report to this .json file.
        sheet: draw the best and the worst cases to this .png or .jpg file.
        show: as for `evaluate`.

    Raises:
        StreamcamError: the data, the model or the device cannot be used, or a file cannot be written.
    """
    require_device(device, backend=backend)
    find_items(data)
    require_writable(json, ".json")
    require_writable(sheet, ".png", ".jpg", ".jpeg")
    groups = read_groups(group, find_spec(model).classes)
    report = evaluate(
        data,
        load_model(model, weights=weights).grouped(groups),
        backend=backend,
        device=device,
        precision=precision,
        extra=extra,
        erase_steps=erase_steps,
        limit=limit,
        show=show,
    )
    if json is not None:
        write_json(json, report.json())
    if sheet is not None:
        save_picture(sheet, draw_sheet(report))
    return report


def require_writable(path: Path | None, *suffixes: str) -> None:
    """Check before a long run that a file can be written; None passes.

    Raises:
        StreamcamError: its folder does not exist or is read-only, or the name ends in none of `suffixes`.
    """
    if path is None:
        return
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK) or path.is_dir():
        raise StreamcamError(f"cannot write {path}: is {path.parent} a folder that you may write to?")
    if path.suffix.lower() not in suffixes:
        raise StreamcamError(f"cannot write {path}: give a name that ends in {' or '.join(suffixes)}")
