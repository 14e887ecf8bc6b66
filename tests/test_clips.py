from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcam.clips import SlidingWindow, prepare, transform_of
from streamcam.records import Clip, ClipFormat, Frame
from tests.support.frames import TINY_FORMAT, make_frame

FORMAT = ClipFormat(length=8, fps=15, resize=(18, 24), crop=(16, 16), mean=(0.0,) * 3, std=(1.0,) * 3)


def at(pts_s: float, index: int = 0, *, session: int = 0) -> Frame:
    """A frame of one colour, which differs from frame to frame."""
    image = np.full((36, 48, 3), index % 251, np.uint8)
    return Frame(image, index, pts_s, 0, "cam", session=session)


def clips(times: Iterable[float], clip_format: ClipFormat = FORMAT, *, hop: int = 1) -> list[Clip]:
    window = SlidingWindow(clip_format, hop=hop)
    pushed = [window.push(at(t, i)) for i, t in enumerate(times)]
    return [clip for clip in pushed if clip is not None]


@pytest.mark.parametrize("fps", [8, 10, 12.5, 15, 25, 29.97, 30, 60])
def test_whatever_the_camera_delivers_a_clip_spans_the_time_that_the_model_expects(fps: float) -> None:
    got = clips([i / fps for i in range(int(4 * fps))])
    assert got
    for clip in got:
        assert clip.pts_s[-1] - clip.pts_s[0] == pytest.approx(7 / 15, abs=1 / fps)
        ideal = clip.pts_s[0] + np.arange(8) / 15
        assert np.abs(clip.pts_s - ideal).max() <= 1 / fps  # half a camera interval at either end


def test_a_30_fps_camera_gives_every_second_frame() -> None:
    first = clips([i / 30 for i in range(40)])[0]
    assert first.pts_s == pytest.approx([i / 15 for i in range(8)])
    assert [int(frame[0, 0, 0]) for frame in first.frames] == [0, 2, 4, 6, 8, 10, 12, 14]


def test_a_10_fps_camera_repeats_frames_in_a_steady_pattern() -> None:
    taken = [[int(frame[0, 0, 0]) for frame in clip.frames] for clip in clips([i / 10 for i in range(16)], hop=3)]
    assert taken[0] == [1, 1, 2, 3, 3, 4, 5, 5]  # three samples for every two frames
    assert taken[1] == [3, 3, 4, 5, 5, 6, 7, 7]


@given(st.lists(st.floats(0.02, 0.05), min_size=40, max_size=80))
def test_a_jittery_camera_is_sampled_at_the_nearest_frame(steps: list[float]) -> None:
    times = np.cumsum([0.0, *steps])
    for clip in clips(times):
        ticks = np.round(clip.index - np.arange(8)[::-1]) / 15
        nearest = np.array([np.abs(times - tick).min() for tick in ticks])
        # A later frame may turn out a little nearer than the camera's pace let expect: by no more than its jitter.
        assert np.all(np.abs(clip.pts_s - ticks) <= nearest + 0.03)


def test_every_hop_samples_there_is_a_clip() -> None:
    times = [i / 30 for i in range(120)]
    assert len(clips(times)) == 60 - 7
    indices = [clip.index for clip in clips(times, hop=5)]
    assert indices == list(range(7, 60, 5))


def test_frames_are_written_once_and_clips_are_views() -> None:
    got = clips([i / 15 for i in range(30)])
    assert np.shares_memory(got[0].frames, got[1].frames)
    assert got[0].frames.flags["C_CONTIGUOUS"]


def test_a_clip_that_is_held_is_never_overwritten() -> None:
    window = SlidingWindow(FORMAT)
    held: list[tuple[Clip, np.ndarray]] = []
    for i in range(400):
        clip = window.push(at(i / 15, i))
        if clip is not None:
            held.append((clip, clip.frames.copy()))
    assert len(held) == 393
    for clip, before in held:
        assert np.array_equal(clip.frames, before)
        expected = [i % 251 for i in range(clip.last.index - 7, clip.last.index + 1)]
        assert [int(frame[0, 0, 0]) for frame in clip.frames] == expected


@pytest.mark.parametrize(
    ("second_part", "why"),
    [
        ([at(2 + i / 15, i + 30, session=1) for i in range(30)], "another session"),
        ([at(5 + i / 15, i + 30) for i in range(30)], "a gap"),
        ([at(i / 15, i + 30) for i in range(30)], "a jump back"),
    ],
)
def test_a_clip_never_spans_a_break(second_part: list[Frame], why: str) -> None:
    window = SlidingWindow(FORMAT)
    seen = [window.push(frame) for frame in [*(at(i / 15, i) for i in range(30)), *second_part]]
    assert [clip is not None for clip in seen].count(True) == 2 * 23, why
    for clip in seen[30:]:
        if clip is not None:
            assert min(int(frame[0, 0, 0]) for frame in clip.frames) >= 30


def test_a_change_of_size_starts_afresh() -> None:
    window = SlidingWindow(FORMAT)
    for i in range(20):
        window.push(at(i / 15, i))
    other = Frame(np.zeros((20, 20, 3), np.uint8), 20, 20 / 15, 0, "cam")
    assert window.push(other) is None


def test_a_slow_camera_is_no_gap() -> None:
    assert clips([i * 1.0 for i in range(10)])  # one frame a second


def test_a_frame_that_comes_twice_is_taken_once() -> None:
    window = SlidingWindow(FORMAT)
    results = [window.push(at(i // 2 / 15, i)) for i in range(16)]
    assert [r is not None for r in results].count(True) == 1


def test_a_head_start_gives_growing_clips_and_then_the_same_full_ones() -> None:
    eager, plain = SlidingWindow(FORMAT, hop=3, head_start=True), SlidingWindow(FORMAT, hop=3)
    early, full = [], []
    for i in range(60):
        a, b = eager.push(at(i / 30, i)), plain.push(at(i / 30, i))
        if a is not None and not a.full:
            early.append(len(a.frames))
        elif a is not None or b is not None:
            assert a is not None
            assert b is not None
            assert np.array_equal(a.frames, b.frames)
            full.append(a.index)
    assert early == [2, 5]
    assert full == [7, 10, 13, 16, 19, 22, 25, 28]


def test_prepare_resizes_the_whole_picture_and_crops_its_centre() -> None:
    image = np.zeros((36, 48, 3), np.uint8)
    image[:, 24:] = 200
    prepared = prepare(image, TINY_FORMAT)
    assert prepared.shape == (3, 16, 16)
    assert prepared[:, :, :7].max() == 0
    assert prepared[:, :, 9:].min() == 200


def test_the_transform_says_what_prepare_left() -> None:
    transform = transform_of(TINY_FORMAT)  # 16×16 of 18×24
    assert (transform.left, transform.top) == pytest.approx((4 / 24, 1 / 18))
    assert (transform.right, transform.bottom) == pytest.approx((20 / 24, 17 / 18))


def test_a_small_picture_is_enlarged() -> None:
    assert prepare(make_frame(0).pixels[:5, :5], TINY_FORMAT).shape == (3, 16, 16)


def test_hop_must_be_positive() -> None:
    with pytest.raises(ValueError, match="hop"):
        SlidingWindow(FORMAT, hop=0)
