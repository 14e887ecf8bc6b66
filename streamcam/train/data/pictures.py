"""Clips that are folders of numbered pictures, as Jester has them, beside clips that are files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from streamcam.train.data.annotations import file_exists

FPS = 12
"""How many pictures a second such a folder has: Jester is the only layout with folders."""

CHUNK_BYTES = 1 << 20


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; it is not where the system refuses it, as one that is too long."""
    return file_exists(path) and path.is_dir()


def clip_uri(path: Path) -> str:
    """Return what `open_source` takes for a clip."""
    return f"frames:{FPS}:{path}" if is_folder(path) else f"file://{path}"


def clip_size(path: Path) -> int:
    """Return how many bytes a clip has."""
    return sum(file.stat().st_size for file in _files(path))


def clip_digest(path: Path) -> str:
    """Return the SHA-256 of a clip's bytes, in hex; a folder's pictures follow one another."""
    digest = hashlib.sha256()
    for file in _files(path):
        with file.open("rb") as opened:
            while chunk := opened.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if is_folder(path):
        yield from sorted(file for file in path.iterdir() if file.is_file())
    else:
        yield path
