"""The command `streamcam eval`: a folder and a model's name → a report, a JSON file and a sheet."""

import os
from collections.abc import Sequence
from pathlib import Path

from streamcam.engines.backends import require_device
from streamcam.errors import StreamcamError
from streamcam.evaluate.dataset import find_items
from streamcam.evaluate.report import Report, Show, evaluate
from streamcam.evaluate.sheets import sheet as draw
from streamcam.files import write_json
from streamcam.models.registry import load_model
from streamcam.render.image_files import save_picture


def evaluate_folder(
    data: Path,
    *,
    model: str,
    weights: str | None,
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
    """Assess a model and write what is asked for; mistakes are found before anything is computed.

    Raises:
        StreamcamError: something cannot be had, read or written.
    """
    require_device(device, backend=backend)
    find_items(data)
    require_writable(json, ".json")
    require_writable(sheet, ".png", ".jpg", ".jpeg")
    report = evaluate(
        data,
        load_model(model, weights=weights),
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
        save_picture(sheet, draw(report))
    return report


def require_writable(path: Path | None, *suffixes: str) -> None:
    """Find out before a long run that a file could not be written; None is fine.

    Raises:
        StreamcamError: its folder is not there, or its name ends in something else.
    """
    if path is None:
        return
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK) or path.is_dir():
        raise StreamcamError(f"cannot write {path}: is {path.parent} a folder that you may write to?")
    if path.suffix.lower() not in suffixes:
        raise StreamcamError(f"cannot write {path}: give a name that ends in {' or '.join(suffixes)}")
