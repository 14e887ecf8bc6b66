"""CVAT's XML for videos: each span of frames in which a track is in the picture is a clip of the track's label.

```
annotations.xml    CVAT for video 1.1, as it is exported from a task
monday.mp4         the video that the file names
```
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from streamcam.cvat import is_cvat, read_cvat
from streamcam.train.data.annotations import Annotation, Listing, file_exists
from streamcam.train.data.layouts.videos import Videos, find_videos, frame_rate_of

recognises = is_cvat


def read(files: Sequence[Path], root: Path) -> Listing:
    """Read XML files of CVAT, whose videos lie in a folder or below it.

    Raises:
        StreamcamError: a track is wrong, or a video cannot be opened; the message names it.
    """
    videos = find_videos(root)
    return Listing([annotation for file in files for annotation in _read_file(file, videos)], [])


def _read_file(file: Path, videos: Videos) -> Iterator[Annotation]:
    video = read_cvat(file)
    path = videos.path_of(video.source)
    fps = frame_rate_of(path) if file_exists(path) else 1.0  # what is not there is left out
    for track in video.tracks:
        for first, last in track.visible_spans():
            yield Annotation(path, track.label, first / fps, (last + 1) / fps)
