"""Augmentation changes clips, and never so that a label is wrong."""

from dataclasses import replace

import pytest
import torch

from streamcam.train.augment import Augment, frames_needed, mirrored_classes
from tests.support.train_small import FORMAT


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (("moving left", "moving right", "still"), [1, 0, 2]),
        (("turning clockwise", "turning counter-clockwise"), [1, 0]),
        (("turn left", "wave"), [None, 1]),
        (("turn_CW", "turn_ccw", "acw"), [1, 0, None]),
        (("cleft", "bright", "swipeleft"), [None, None, None]),
        (("Left hand", "RIGHT HAND"), [1, 0]),
        (("swipe-left", "swipe-right"), [1, 0]),
        (("swipe_left", "swipe_right"), [1, 0]),
        (("SwipeLeft", "SwipeRight"), [1, 0]),
        (("leftward", "rightward"), [1, 0]),
        (("left hand moving right", "right hand moving right"), [None, None]),
        (("left hand moving right", "right hand moving left"), [1, 0]),
        (("left hand turning clockwise", "right hand turning clockwise"), [None, None]),
        (("left hand turning clockwise", "right hand turning anticlockwise"), [1, 0]),
        (("TurnClockwise", "TurnCounterClockwise"), [1, 0]),
        (("turn anti-clockwise",), [None]),
    ],
)
def test_a_mirror_changes_sides_or_is_left_out(classes: tuple[str, ...], expected: list[int | None]) -> None:
    assert mirrored_classes(classes) == expected


def test_a_mirrored_clip_has_the_mirrored_label() -> None:
    clip_format = replace(FORMAT, resize=(32, 32))
    frames = torch.zeros(64, frames_needed(4), 3, 32, 32, dtype=torch.uint8)
    frames[..., :12] = 200  # bright on the left
    targets = torch.tensor([[1.0, 0.0]]).repeat(64, 1)
    available = torch.full((64,), frames.shape[1])
    clips, changed = Augment(clip_format, [1, 0])(frames, available, targets, torch.Generator().manual_seed(0))
    brighter_left = clips[..., :16].mean((1, 2, 3, 4)) > clips[..., 16:].mean((1, 2, 3, 4))
    assert clips.shape == (64, 4, 3, 32, 32)
    assert 10 < int(brighter_left.sum()) < 54
    torch.testing.assert_close(changed[:, 0] > 0, brighter_left)
    kept, same = Augment(clip_format, [None, None])(frames, available, targets, torch.Generator().manual_seed(0))
    assert bool((kept[..., :16].mean((1, 2, 3, 4)) > kept[..., 16:].mean((1, 2, 3, 4))).all())
    torch.testing.assert_close(same, targets)


def test_a_clip_with_few_frames_is_not_played_faster_than_they_reach() -> None:
    n = frames_needed(4)
    frames = torch.full((32, n, 3, 32, 32), 50, dtype=torch.uint8)
    frames[:, 4:] = 250  # not real: the clips have four frames
    targets, generator = torch.ones(32, 2), torch.Generator().manual_seed(1)
    clips, _ = Augment(replace(FORMAT, resize=(32, 32)), [0, 1])(frames, torch.full((32,), 4), targets, generator)
    torch.testing.assert_close(clips, clips[:, :1].expand_as(clips))
