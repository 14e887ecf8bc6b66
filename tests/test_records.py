import numpy as np
import pytest

from streamcam.errors import StreamcamError
from streamcam.records import Clip, ClipFormat, Frame, Transform
from tests.support.frames import make_frame
from tests.support.heats import make_heat


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_a_frame_refuses_what_is_not_a_picture(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected image uint8 \[H,W,3\], got uint8"):
        Frame(np.zeros(shape, np.uint8), 0, 0.0, 0, "cam")


def test_a_frame_without_pixels_says_how_to_get_them() -> None:
    frame = Frame(None, 0, 0.0, 0, "cam")
    with pytest.raises(StreamcamError, match="subscribe"):
        _ = frame.pixels


def test_records_show_shapes_and_not_data() -> None:
    assert repr(make_frame(3)).startswith("Frame(image=uint8[36, 48, 3], index=3,")
    assert "cube=float32[2, 3, 4, 5]" in repr(make_heat())


def test_records_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        make_frame(0).index = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "changes",
    [
        {"common": np.zeros((3, 4, 4), np.float32)},
        {"labels": ("a",)},
        {"scores": np.zeros(3, np.float32)},
        {"classes": np.array([4, 6])},
        {"classes": np.array([-1, 1])},
        {"pts_s": np.zeros(2)},
        {"scale": np.ones(3, np.float32)},
        {"cube": np.ones((2, 3, 4), np.float32)},
    ],
)
def test_heat_refuses_parts_that_do_not_fit_together(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        make_heat(**changes)


def test_centred_heat_is_the_heat_beyond_what_all_classes_share() -> None:
    assert np.all(make_heat(common=np.full((3, 4, 5), 0.25, np.float32)).centred == 0.75)


@pytest.mark.parametrize("box", [(0.5, 0, 0.5, 1), (-0.1, 0, 1, 1), (0, 0.2, 1, 1.1), (0, float("nan"), 1, 1)])
def test_a_transform_lies_inside_the_picture(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Transform(*box)


def test_a_transform_holds_for_the_picture_at_any_size() -> None:
    transform = Transform(0.25, 0.0, 0.75, 1.0)
    assert transform.to_pixels(100, 200) == (50, 0, 150, 100)
    assert transform.to_pixels(1, 1) == (0, 0, 1, 1)


def test_a_clip_needs_a_time_for_each_frame() -> None:
    frames = np.zeros((4, 3, 8, 8), np.uint8)
    with pytest.raises(ValueError, match="one pts a frame"):
        Clip(frames, np.zeros(3), 3, make_frame(3), Transform())


def test_a_clip_format_crops_within_what_it_resizes_to() -> None:
    with pytest.raises(ValueError, match="crop"):
        ClipFormat(4, 15, (100, 100), (101, 90), (0, 0, 0), (1, 1, 1))
