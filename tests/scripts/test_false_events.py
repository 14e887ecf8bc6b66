"""What counts as an event in footage that shows none of the classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from scripts.footage.false_events import Watched, main, named, recall, watch
from streamcam.heat.none_of_these import NONE_OF_THESE
from streamcam.models.base import CamModel, ModelSpec
from streamcam.models.head import Head
from streamcam.records import ClipFormat
from tests.support.write_clip import write_clip


def test_an_event_is_a_class_that_is_named_in_two_windows_in_a_row() -> None:
    names = [None, "wave", None, "wave", "wave", "wave", "nod", "nod", None, "nod", "wave", "wave"]
    assert Watched(names, 1.0).events == {"wave": 2, "nod": 1}
    assert Watched([], 0.0).events.total() == 0


def test_a_class_is_named_as_an_overlay_would() -> None:
    assert named(["wave", NONE_OF_THESE], [0.5, 0.4]) == "wave"
    assert named(["wave", NONE_OF_THESE], [0.49, 0.4]) is None
    assert named([NONE_OF_THESE, "wave"], [0.9, 0.1]) is None


def always(label: int) -> CamModel:
    """Make a network that says the same of whatever it sees."""
    clip_format = ClipFormat(length=4, fps=10, resize=(16, 16), crop=(16, 16), mean=(0.0,) * 3, std=(1.0,) * 3)
    spec = ModelSpec("always", "a test", ("wave", NONE_OF_THESE), clip_format, framewise=False, weights="none")
    head = nn.Linear(4, 2)
    nn.init.zeros_(head.weight)
    head.bias.data = 5 * torch.eye(2)[label]
    return CamModel(spec, nn.Conv3d(3, 4, 1), Head([head]))


@pytest.mark.parametrize(("label", "events"), [(0, {"wave": 1}), (1, {})])
def test_all_windows_of_a_video_are_watched(tmp_path: Path, label: int, events: dict[str, int]) -> None:
    rng = np.random.default_rng(0)
    write_clip(tmp_path / "room.mp4", [rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(12)])
    watched = watch(tmp_path / "room.mp4", always(label))
    assert watched.events == events
    assert len(watched.names) == 9  # 12 frames at the network's rate, windows of four
    assert watched.seconds == pytest.approx(1.1, abs=0.05)


def test_a_missing_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent"), "--model", "x.safetensors"]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_clips_that_show_a_class_are_counted(tmp_path: Path) -> None:
    frames = [np.full((32, 32, 3), 90, np.uint8)] * 8
    for name in ("wave/1.mp4", "wave/2.mp4", f"{NONE_OF_THESE}/1.mp4"):
        write_clip(tmp_path / name, frames)
    assert recall(always(0), tmp_path) == "of 3 clips: top-1 0.67, named 0.67"
    assert recall(always(1), tmp_path) == "of 3 clips: top-1 0.33, named 0.00"
