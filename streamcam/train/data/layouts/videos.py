"""The videos of a data set, found by the names that its annotation files give them."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from streamcam.errors import StreamcamError
from streamcam.files import VIDEOS
from streamcam.sources.address import parse_address
from streamcam.sources.opening import open_stream
from streamcam.sources.timing.stream_info import container_of, frame_rate
from streamcam.train.data.annotations import Listing, count_of, file_exists, first_few, normalise_name
from streamcam.train.data.folders import read_tree


@dataclass(frozen=True, slots=True)
class Videos:
    """The videos in a folder and below it, at any depth."""

    root: Path
    by_stem: dict[str, list[Path]]
    """Name without suffix → the files of that name."""

    def find(self, name: str, *, label: str = "") -> Path | None:
        """Return the video of a name, whatever its suffix; None where there is none.

        Args:
            name: its name, or its path as a list gives it; folders are not compared.
            label: its class. Of several files with the same name, the one in the class's folder is meant.

        Raises:
            StreamcamError: several files have the name.
        """
        paths = self.by_stem.get(_stem(name), [])
        in_class = [path for path in paths if normalise_name(path.parent.name) == normalise_name(label)]
        paths = in_class or paths
        if len(paths) > 1:
            raise StreamcamError(f"{paths[0]} and {paths[1]} have the same name, and either may be meant: remove one")
        return paths[0] if paths else None

    def path_of(self, name: str, *, label: str = "") -> Path:
        """Return the same as `find` or, where there is none, where the video would be."""
        return self.find(name, label=label) or self.root / name


def find_videos(root: Path) -> Videos:
    """Find all videos in a folder and below it."""
    by_stem: dict[str, list[Path]] = {}
    for path in read_tree(root).all_videos():
        by_stem.setdefault(_stem(path.name), []).append(path)
    return Videos(root, by_stem)


def _stem(name: str) -> str:
    """Return a file's name without its folders and without the suffix of a video: other dots belong to the name."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in VIDEOS else path.name


def without_missing(listing: Listing, files: Sequence[Path], root: Path) -> Listing:
    """Leave out the annotations of videos that are not there, and the classes without any video; say how many.

    Raises:
        StreamcamError: no video is there.
    """
    paths = {annotation.path: file_exists(annotation.path) for annotation in listing.annotations}
    missing = sorted(path for path, exists in paths.items() if not exists)
    if not missing:
        return listing
    listed = first_few(files)
    if len(missing) == len(paths):
        raise StreamcamError(f"none of the {len(paths)} videos in {listed} is in {root} or below, such as {missing[0]}")
    annotations = [a for a in listing.annotations if paths[a.path]]
    notes = [f"not there, and left out: {len(missing)} of {len(paths)} videos: {first_few(missing)}"]
    classes = sorted({a.label for a in listing.annotations} - {a.label for a in annotations})
    if classes:
        notes.append(
            f"left out, as none of its videos is there: {count_of(len(classes), 'label')}: {first_few(classes)}"
        )
    return Listing(annotations, [*listing.notes, *notes])


def frame_rate_of(path: Path) -> float:
    """Return the frames a second that a video says.

    Raises:
        StreamcamError: it cannot be opened.
    """
    stream = open_stream(parse_address(f"file://{path}"))
    with closing(container_of(stream)):
        return frame_rate(stream)
