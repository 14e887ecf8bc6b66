"""Heat → an .npz of arrays."""

import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamcam.errors import StreamcamError
from streamcam.files import unfinished_name
from streamcam.records import Heat, Result, Transform
from streamcam.sinks.file import FileSink
from streamcam.sinks.unfinished import put_aside


class HeatRecorder(FileSink):
    """Records heat into an .npz of arrays with one row per window, in constant memory.

    cube [T,K,L',h,w] f2   common [T,L',h,w] f2   classes [T,K]   scores [T,K]   logits [T,C]
    slice_pts_s [T,L']     clip_pts_s [T,2]       frame_index [T]  session [T]   transform [4]   labels [C]

    While it records, each array is an .npy in the folder NAME.part. Closing packs them into the .npz. If the program is
    killed, the folder holds all windows.
    """

    def __init__(self, path: Path, source: str, labels: tuple[str, ...]) -> None:
        """Make the temporary files.

        Args:
            path: the file to make.
            source: the source to record; results of others are ignored.
            labels: the names of the model's C classes.

        Raises:
            StreamcamError: it cannot be written, or its name does not end in .npz.
        """
        if path.suffix.lower() != ".npz":
            raise StreamcamError(f"cannot save heat to {path}: give a name that ends in .npz")
        self._folder = path.with_suffix(".part")
        try:
            rescued = put_aside(self._folder) if _holds_anything(self._folder) else None
        except OSError as e:
            raise StreamcamError(f"cannot save heat to {path}: {e.strerror}") from e
        super().__init__(path, unfinished_name(path, hidden=True), rescued=rescued)
        self._source, self._labels = source, labels
        self._columns: dict[str, _Column] = {}
        self._transform: Transform | None = None

    def on_window(self, result: Result) -> None:
        """Add a row."""
        heat = result.heat
        if result.frame.source != self._source or heat is None:
            return
        try:
            if heat.transform != self._transform:
                self._write_constants(heat.transform)
            for name, value in heat_row(result, heat).items():
                self._column(name).append(value)
        except OSError as e:
            raise self.failed(e) from e

    def _write_constants(self, transform: Transform) -> None:
        """Write the arrays that have no row per window."""
        self._transform = transform
        self._folder.mkdir(exist_ok=True)
        for name, array in (("transform", np.array(edges(transform))), ("labels", np.array(self._labels))):
            content = io.BytesIO()  # written to a file, np.save would not say why it failed
            np.save(content, array)
            (self._folder / f"{name}.npy").write_bytes(content.getvalue())

    def _column(self, name: str) -> "_Column":
        if name not in self._columns:
            self._columns[name] = _Column(self._folder / f"{name}.npy")
        return self._columns[name]

    def finish(self) -> bool:
        """Pack the arrays into one archive; return whether there is any."""
        try:
            with zipfile.ZipFile(self.partial, "w") as archive:
                for name in (*self._columns, "transform", "labels") if self._columns else ():
                    self._pack(f"{name}.npy", archive)
        finally:
            for column in self._columns.values():
                column.close()
            shutil.rmtree(self._folder, ignore_errors=True)
        return bool(self._columns)

    def _pack(self, name: str, archive: zipfile.ZipFile) -> None:
        with (self._folder / name).open("rb") as array, archive.open(name, "w", force_zip64=True) as member:
            shutil.copyfileobj(array, member, 1 << 20)


def _holds_anything(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def heat_row(result: Result, heat: Heat) -> dict[str, npt.NDArray[Any]]:
    """Return one window's row of each array, by the array's name."""
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
    """Return the four sides of what the network saw, as they are saved: left, top, right, bottom."""
    return [transform.left, transform.top, transform.right, transform.bottom]


class _Column:
    """An .npy file that grows by rows of one shape and type, and can be read after each row."""

    def __init__(self, path: Path) -> None:
        self._file, self._rows = path.open("wb", buffering=0), 0

    def append(self, row: npt.NDArray[Any]) -> None:
        # The row first, then the header that counts it: whoever reads in between sees a whole array without the row.
        if self._rows == 0:
            self._write(_header(row, 0))
        self._file.seek(0, os.SEEK_END)
        self._write(row.tobytes())
        self._rows += 1
        self._file.seek(0)
        self._write(_header(row, self._rows))

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:  # a full disk takes a part of it without an error; only the next write raises one
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        self._file.close()


def _header(row: npt.NDArray[Any], count: int) -> bytes:
    """Return the .npy header of an array of `count` rows. Its length is the same for every count.

    NumPy pads the header for a growing first axis (`numpy.lib.format`), so that it can be written over in place.
    """
    header = io.BytesIO()
    described = {"descr": row.dtype.str, "fortran_order": False, "shape": (count, *row.shape)}
    np.lib.format.write_array_header_2_0(header, described)
    return header.getvalue()
