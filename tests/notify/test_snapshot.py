"""The picture of an event is found among its files, and nothing outside of them is ever read."""

from pathlib import Path
from typing import Any

import pytest

from streamcam.notify.snapshot import MAX_PICTURE_BYTES, find_snapshot, read_snapshot
from tests.support.messages import an_event


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events" / "e").mkdir(parents=True)
    (tmp_path / "events" / "e" / "snapshot.jpg").write_bytes(b"a picture")
    return tmp_path / "events"


def test_the_snapshot_comes_before_other_pictures(folder: Path) -> None:
    (folder / "e" / "overlay.jpg").write_bytes(b"another")
    event = an_event(folder="e", files=("clip.mp4", "overlay.jpg", "snapshot.jpg"))
    assert read_snapshot(event, folder) == b"a picture"
    assert read_snapshot(an_event(folder="e", files=("overlay.jpg",)), folder) == b"another"


@pytest.mark.parametrize(
    "fields", [{"folder": None}, {"files": ()}, {"folder": "gone"}, {"files": ("clip.mp4",)}], ids=str
)
def test_without_a_picture_there_is_none(fields: dict[str, Any], folder: Path) -> None:
    told: dict[str, Any] = {"folder": "e", "files": ("snapshot.jpg",)}
    assert find_snapshot(an_event(**told | fields), folder) is None
    assert find_snapshot(an_event(**told), None) is None


@pytest.mark.parametrize(
    "where", [{"folder": "../secret"}, {"folder": "/etc"}, {"folder": "link"}, {"files": ("../../x.jpg",)}], ids=str
)
def test_nothing_outside_of_the_folder_is_found(where: dict[str, Any], folder: Path) -> None:
    (folder.parent / "secret").mkdir()
    (folder / "link").symlink_to(folder.parent / "secret")
    for secret in (folder.parent / "secret" / "snapshot.jpg", folder.parent / "x.jpg"):
        secret.write_bytes(b"secret")
    told: dict[str, Any] = {"folder": "e", "files": ("snapshot.jpg",)}
    assert find_snapshot(an_event(**told | where), folder) is None


def test_a_picture_that_is_too_large_is_none(folder: Path) -> None:
    with (folder / "e" / "snapshot.jpg").open("wb") as file:
        file.truncate(MAX_PICTURE_BYTES + 1)
    assert find_snapshot(an_event(folder="e", files=("snapshot.jpg",)), folder) is None
