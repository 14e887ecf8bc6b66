"""Heat → a folder of chunks (Zarr 3), for heat that outgrows memory: it can be read piece by piece."""

from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.records import Result
from streamcam.sinks.base import Sink
from streamcam.sinks.heat_npz import edges, heat_row

CHUNK_ROWS = 256


def require_zarr() -> None:
    """Check before a long run that the package zarr is installed.

    Raises:
        StreamcamError: it is not.
    """
    if find_spec("zarr") is None:
        raise StreamcamError(
            "so much heat goes into heat.zarr, which needs the package zarr: pip install 'streamcam[zarr]' "
            "(or explain a shorter stretch)"
        )


class ZarrRecorder(Sink):
    """Records heat into a Zarr group: `HeatRecorder`'s arrays, with `labels` and `transform` as attributes.

    Each chunk holds 256 windows. The rows of one chunk are held in memory, and no more.
    """

    def __init__(self, path: Path, source: str, labels: tuple[str, ...]) -> None:
        """Make the folder.

        Args:
            path: the folder to make; it must not exist.
            source: the source to record; results of others are ignored.
            labels: the names of the model's C classes.

        Raises:
            StreamcamError: it cannot be written, or the package zarr is missing.
        """
        require_zarr()
        import zarr

        self.path, self._source = path, source
        self._rows: list[dict[str, npt.NDArray[Any]]] = []
        self._arrays: dict[str, Any] = {}
        self._group = zarr.open_group(str(path), mode="w-", zarr_format=3, attributes={"labels": list(labels)})

    def on_window(self, result: Result) -> None:
        """Add a row."""
        if result.frame.source != self._source or result.heat is None:
            return
        if not self._group.attrs.get("transform"):
            self._group.attrs["transform"] = edges(result.heat.transform)
        self._rows.append(heat_row(result, result.heat))
        if len(self._rows) == CHUNK_ROWS:
            self._write()

    def close(self) -> None:
        """Write the rows of the last, shorter chunk. Closing twice is fine."""
        if self._rows:
            self._write()

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        try:
            for name in rows[0]:
                self._append(name, np.stack([row[name] for row in rows]))
        except OSError as e:
            raise StreamcamError(f"cannot write {self.path}: {e.strerror or e}") from e

    def _append(self, name: str, block: npt.NDArray[Any]) -> None:
        if name not in self._arrays:
            shape, chunks = (0, *block.shape[1:]), (CHUNK_ROWS, *block.shape[1:])
            self._arrays[name] = self._group.create_array(name, shape=shape, chunks=chunks, dtype=block.dtype)
        self._arrays[name].append(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is None:
            self.close()
