"""A real RTSP camera, before which a person leaves through a zone."""

from pathlib import Path

import pytest
from PIL import Image

from scripts.events.crossing import BEFORE_S, FOR_S, stage


@pytest.mark.slow
def test_a_crossing_is_told_and_kept(videos: Path, tmp_path: Path) -> None:
    seen = stage(videos / "one-by-one-person-detection.mp4", tmp_path)
    assert seen.start.zone == "right"
    assert seen.start.label == "moving right"
    # It is told once it has gone on for long enough, and the next slice at the latest.
    assert FOR_S <= seen.start.seconds < FOR_S + 0.3
    assert seen.told_after_s > 0
    assert seen.saved.id == seen.start.id
    assert {seen.clip.name, seen.snapshot.name, "heat.npz", "event.json"} == set(seen.saved.files)
    assert BEFORE_S <= seen.before_s < BEFORE_S + 1.2  # from the key frame before
    assert seen.after_s >= 1.8
    assert seen.saved.box is not None
    assert (seen.saved.box.left + seen.saved.box.right) / 2 > 0.5  # in the zone
    with Image.open(seen.snapshot) as picture:
        assert picture.size == (768, 432)
