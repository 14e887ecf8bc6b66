from pathlib import Path

import numpy as np
import pytest

from scripts.events.kill import kill_at_random
from tests.support.write_clip import write_clip


@pytest.mark.slow
def test_index_and_files_agree_after_kills_at_any_moment(tmp_path: Path) -> None:
    """And every clip can be read, and no event is lost. `scripts/events/kill.py` does so with 1,000 events."""
    clip = write_clip(tmp_path / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)] * 5)
    report = kill_at_random(tmp_path / "events", clip, events=20, rounds=6, seed=1)
    assert report.rounds >= 6
    assert report.saved >= 20
