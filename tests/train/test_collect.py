"""Record labelled clips from a camera."""

from pathlib import Path

import av
import pytest

from streamcam.errors import StreamcamError
from streamcam.train.collect import RecordingStatus, collect
from streamcam.train.data.folders import read_folders
from tests.support.frames import FakeSource, make_frame


def length_s(path: Path) -> float:
    with av.open(str(path)) as container:
        times = [float(frame.time or 0.0) for frame in container.decode(video=0)]
    return times[-1] - times[0]


def test_so_many_clips_of_so_long_with_pauses_between(tmp_path: Path) -> None:
    statuses: list[RecordingStatus] = []
    source = FakeSource([make_frame(i) for i in range(100)])
    paths = collect(source, tmp_path / "wave", count=3, seconds=1.5, pause_s=1.0, show=statuses.append)
    assert [path.name for path in paths] == ["0001.mp4", "0002.mp4", "0003.mp4"]
    assert [length_s(path) for path in paths] == pytest.approx([1.5] * 3, abs=0.11)
    assert [(m.number, m.recording) for m in statuses if m.left_s <= 0] == [
        (n, recording) for n in (1, 2, 3) for recording in (False, True)
    ]


def test_earlier_clips_stay(tmp_path: Path) -> None:
    for _ in range(2):
        collect(FakeSource([make_frame(i) for i in range(40)]), tmp_path, count=1, seconds=1.0, pause_s=0.5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0001.mp4", "0002.mp4"]


def test_a_clip_that_is_cut_short_is_not_kept(tmp_path: Path) -> None:
    source = FakeSource([make_frame(i) for i in range(30)])
    assert len(collect(source, tmp_path, count=5, seconds=1.0, pause_s=0.5)) == 1
    lost = [make_frame(i) for i in range(12)] + [make_frame(i, session=1) for i in range(12, 20)]
    with pytest.raises(StreamcamError, match="ended before a clip was complete"):
        collect(FakeSource(lost), tmp_path / "lost", count=1, seconds=1.2, pause_s=0.5)
    assert list((tmp_path / "lost").iterdir()) == []


def test_a_clip_that_was_never_completed_is_neither_replaced_nor_learnt_from(tmp_path: Path) -> None:
    """A killed `streamcam record` leaves such a file."""
    for label in ("nod", "wave"):
        collect(FakeSource([make_frame(i) for i in range(80)]), tmp_path / label, count=2, seconds=1.0, pause_s=0.5)
    left = (tmp_path / "wave" / "0002.mp4").rename(tmp_path / "wave" / "0002.part.mp4")
    before = left.read_bytes()
    frames = [make_frame(i) for i in range(40)]
    assert collect(FakeSource(frames), tmp_path / "wave", count=1, seconds=1.0, pause_s=0.5)[0].name == "0003.mp4"
    assert left.read_bytes() == before
    annotations = read_folders(tmp_path, known=True).annotations
    assert sorted(a.path.name for a in annotations if a.label == "wave") == ["0001.mp4", "0003.mp4"]
