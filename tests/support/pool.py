"""Small clips that are all different, to be laid out as data sets."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.support.write_clip import write_clip


class Pool:
    """Gives a clip of 0.8 s, 48 × 36 pixels, that it has not given before."""

    def __init__(self, folder: Path, count: int) -> None:
        self._paths = [self._write(folder, number) for number in range(count)]
        self._left: Iterator[Path] = iter(())
        self.afresh()

    def afresh(self) -> None:
        """Begin again with the first."""
        self._left = iter(self._paths)

    def put(self, root: Path, *names: str) -> list[Path]:
        """The next clips, under these names below a folder."""
        paths = [root / name for name in names]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(next(self._left), path)
        return paths

    @staticmethod
    def _write(folder: Path, number: int) -> Path:
        picture = np.random.default_rng(number).integers(0, 255, (36, 48, 3), dtype=np.uint8)
        return write_clip(folder / f"{number}.mp4", [picture] * 8)
