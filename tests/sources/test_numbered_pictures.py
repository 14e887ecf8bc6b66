"""A folder of numbered pictures is a video."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from streamcam.errors import StreamcamError
from streamcam.sources.base import open_source


def put(folder: Path, names: Sequence[str]) -> Path:
    """Write pictures, each brighter by 10 than the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((36, 48, 3), 10 * i, np.uint8))
    return folder


def read(uri: str, *, start_s: float = 0.0, end_s: float | None = None) -> list[tuple[float, int]]:
    """The time and the brightness of each frame."""
    with closing(open_source(uri, paced=False, start_s=start_s, end_s=end_s)) as source:
        return [(round(frame.pts_s, 3), round(frame.pixels.mean())) for frame in source.frames(Event())]


@pytest.mark.parametrize(
    "names",
    [
        [f"{i:05d}.jpg" for i in range(1, 13)],
        [f"{i:05d}.png" for i in range(12)],
        [f"{i}.JPEG" for i in range(95, 107)],
    ],
)
def test_all_pictures_are_read_in_the_order_of_their_numbers(names: list[str], tmp_path: Path) -> None:
    folder = put(tmp_path / "50% of, a:b", names)
    (folder / ".00000.jpg").touch()
    (folder / "labels.txt").touch()
    frames = read(f"frames:4:{folder}")
    assert [pts_s for pts_s, _ in frames] == [i / 4 for i in range(12)]
    assert [level for _, level in frames] == pytest.approx([10 * i for i in range(12)], abs=1)
    assert [pts_s for pts_s, _ in read(f"frames:4:{folder}", start_s=1.5, end_s=2.25)] == [1.5, 1.75, 2.0]
    with closing(open_source(f"frames:4:{folder}", paced=False)) as source:
        assert source.duration_s == 3.0


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("frames:{}/gap", "expected frames:FPS:FOLDER, as in frames:12:pictures, got frames:"),
        ("frames:0:{}/gap", "expected frames:FPS:FOLDER"),
        ("frames:-3:{}/gap", "expected frames:FPS:FOLDER"),
        ("frames:12:{}/gap", "/gap lacks 00002.jpg: its next picture is 00003.jpg"),
        ("frames:12:{}/width", "/width lacks 002.jpg: its next picture is 02.jpg"),
        ("frames:12:{}/twice", "/twice lacks 00002.jpg: its next picture is 00001.png"),
        ("frames:12:{}/none", "/none holds no numbered pictures, such as 00001.jpg, 00002.jpg"),
        ("frames:12:{}/nowhere", "cannot read the folder {}/nowhere: No such file or directory"),
    ],
)
def test_what_is_no_video_is_named(uri: str, message: str, tmp_path: Path) -> None:
    put(tmp_path / "gap", ["00001.jpg", "00003.jpg"])
    put(tmp_path / "width", ["001.jpg", "02.jpg"])
    put(tmp_path / "twice", ["00001.jpg", "00001.png"])
    put(tmp_path / "none", ["first.jpg"])
    with pytest.raises(StreamcamError) as caught:
        open_source(uri.format(tmp_path))
    assert message.format(tmp_path) in str(caught.value)
