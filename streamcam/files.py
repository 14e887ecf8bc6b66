"""Files that are complete or not there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamcam.errors import StreamcamError


@contextmanager
def complete_or_absent(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, to write to; it takes the name when the block ends, or goes when it raises.

    Raises:
        StreamcamError: the system would not write it.
    """
    partial = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    except OSError as e:
        raise StreamcamError(f"cannot write {path}: {e.strerror or e}") from e
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write what JSON can hold.

    Raises:
        StreamcamError: the system would not write it.
    """
    with complete_or_absent(path) as partial:
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
