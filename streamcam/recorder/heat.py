"""Heat → arrays."""

import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.recorder.file import FileSink
from streamcam.records import Heat, Result, Transform


class HeatRecorder(FileSink):
    """Heat → an .npz of arrays with one row per window, spooled to disk meanwhile, in constant memory.

    cube [T,K,L',h,w] f2   common [T,L',h,w] f2   classes [T,K]   scores [T,K]   logits [T,C]
    slice_pts_s [T,L']     clip_pts_s [T,2]       frame_index [T]  session [T]   transform [4]   labels [C]
    """

    def __init__(self, path: Path, source: str, labels: tuple[str, ...]) -> None:
        """Open it.

        Args:
            path: the file to make.
            source: the source to record; results of others are passed over.
            labels: the names of the model's C classes.

        Raises:
            StreamcamError: it cannot be written, or its name does not end in .npz.
        """
        if path.suffix.lower() != ".npz":
            raise StreamcamError(f"cannot save heat to {path}: give a name that ends in .npz")
        super().__init__(path, path.with_name(f".{path.name}.part{path.suffix}"))
        self._source, self._labels = source, labels
        self._columns: dict[str, _Column] = {}
        self._transform = Transform()

    def on_window(self, result: Result) -> None:
        """Add a row."""
        heat = result.heat
        if result.frame.source != self._source or heat is None:
            return
        self._transform = heat.transform
        try:
            for name, value in heat_row(result, heat).items():
                self._column(name).append(value)
        except OSError as e:
            raise self.failed(e) from e

    def _column(self, name: str) -> "_Column":
        if name not in self._columns:
            self._columns[name] = _Column(self.path.parent)
        return self._columns[name]

    def finish(self) -> bool:
        """Put the columns into one archive."""
        with zipfile.ZipFile(self.partial, "w") as archive:
            for name, column in self._columns.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    column.write_to(member)
            for name, array in (("transform", np.array(edges(self._transform))), ("labels", np.array(self._labels))):
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        return bool(self._columns)


def heat_row(result: Result, heat: Heat) -> dict[str, npt.NDArray[Any]]:
    """One window's row of each column."""
    return {
        "cube": heat.cube.astype(np.float16),
        "common": heat.common.astype(np.float16),
        "classes": heat.classes,
        "scores": heat.scores,
        "logits": heat.logits,
        "slice_pts_s": heat.pts_s,
        "clip_pts_s": np.array(heat.clip_pts_s),
        "frame_index": np.array(result.frame.index),
        "session": np.array(result.frame.session),
    }


def edges(transform: Transform) -> list[float]:
    """The four sides of what the network saw, as they are saved."""
    return [transform.left, transform.top, transform.right, transform.bottom]


class _Column:
    """Rows of one shape and type, on disk."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._rows = 0
        self._row: npt.NDArray[Any] | None = None

    def append(self, row: npt.NDArray[Any]) -> None:
        self._row = row
        self._rows += 1
        self._file.write(row.tobytes())

    def write_to(self, member: IO[bytes]) -> None:
        """As one .npy array [rows, …]."""
        assert self._row is not None
        header = {"descr": self._row.dtype.str, "fortran_order": False, "shape": (self._rows, *self._row.shape)}
        np.lib.format.write_array_header_2_0(member, header)
        self._file.seek(0)
        while chunk := self._file.read(1 << 20):
            member.write(chunk)
        self._file.close()
