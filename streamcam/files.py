"""Files, and folders of them, that are complete or not there."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from streamcam.errors import StreamcamError

VIDEOS = frozenset(
    {
        *(".3g2", ".3gp", ".3gpp", ".264", ".265", ".amv", ".asf", ".avi", ".divx", ".dv", ".dvr-ms", ".f4v", ".flv"),
        *(".gif", ".gxf", ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg"),
        *(".mjpg", ".mk3d", ".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut"),
        *(".obu", ".ogm", ".ogv", ".ogx", ".qt", ".rm", ".rmvb", ".roq", ".swf", ".tod", ".trp", ".ts", ".vob", ".vro"),
        *(".webm", ".wmv", ".wtv", ".xvid", ".y4m"),
    }
)
"""What names of video files end in, in lower case; FFmpeg reads them all."""


def unfinished_name(path: Path, *, hidden: bool = False) -> Path:
    """Name what is written until `path` is complete: NAME.part.mp4 for NAME.mp4; hidden, .NAME.part.mp4.

    The suffix stays last, since libraries choose the format by it.
    """
    return path.with_name(f"{'.' if hidden else ''}{path.stem}.part{path.suffix}")


@contextmanager
def complete_or_absent(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, to write to; it takes the name when the block ends, or goes when it raises.

    Raises:
        StreamcamError: the system would not write it.
    """
    partial = unfinished_name(path, hidden=True)
    try:
        yield partial
        partial.replace(path)
    except OSError as e:
        raise StreamcamError(f"cannot write {path}: {e.strerror or e}") from e
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write what JSON can hold; a name that is not text comes back as it was, for JSON spells bytes as Python does.

    Raises:
        StreamcamError: the system would not write it.
    """
    with complete_or_absent(path) as partial:
        partial.write_text(
            json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", errors="backslashreplace"
        )


def require_fresh(folder: Path, *, force: bool) -> None:
    """Find out before a long run that its results could not be written.

    Raises:
        StreamcamError: the folder cannot be made or written to, or (unless forced) there is something in it.
    """
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise StreamcamError(f"cannot write to {folder}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise StreamcamError(f"cannot write to {folder}: permission denied")
    if existing == folder and any(folder.iterdir()) and not force:
        raise StreamcamError(f"{folder} is not empty: name a new folder, or --force to replace earlier results in it")


@contextmanager
def staged(folder: Path, *, replaces: Sequence[str] = ()) -> Iterator[Path]:
    """Make `folder`, and in it a hidden folder to write to, whose content moves up at the end.

    After an error nothing has changed: no results, and no folder if there was none.

    Args:
        folder: where the results are to be.
        replaces: names of earlier results, which go when the new ones are there.

    Raises:
        StreamcamError: it cannot be written to.
    """
    made = [p for p in (folder, *folder.absolute().parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".streamcam-", ignore_cleanup_errors=True) as hidden:
            try:
                yield Path(hidden)
            except StreamcamError as e:
                raise StreamcamError(str(e).replace(hidden, str(folder))) from e
            for name in replaces:
                _remove(folder / name)
            for result in sorted(Path(hidden).iterdir()):
                if (folder / result.name).is_dir():  # which nothing can replace
                    _remove(folder / result.name)
                result.replace(folder / result.name)
    except OSError as e:
        raise StreamcamError(f"cannot write to {folder}: {e.strerror or e}") from e
    finally:
        for path in made:
            with suppress(OSError):  # not empty: there are results in it
                path.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
