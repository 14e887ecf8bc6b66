"""Grey of more than 8 bits: which of its values become black and white."""

import logging
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Event

import av
import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from streamcam.config.load import make_config
from streamcam.errors import StreamcamError
from streamcam.render import image_decoding
from streamcam.render.image_files import read_picture
from streamcam.sources import log_once
from streamcam.sources.base import open_source
from streamcam.sources.pixels.levels import AutoLevels, LevelMapper, Levels, apply_levels, parse_levels
from tests.support.commands import complaint
from tests.support.containers import add_video
from tests.support.streams import Video, turn_round, write_streams

Values = npt.NDArray[np.uint16]

HEIGHT, WIDTH = 24, 50  # FFmpeg's lines are longer than that: the rest is none of the picture


def ramp(low: int, high: int) -> Values:
    return np.linspace(low, high, HEIGHT * WIDTH).round().astype(np.uint16).reshape(HEIGHT, WIDTH)


def write(path: Path, pictures: Sequence[Values], layout: str = "gray16le", codec: str = "ffv1") -> Path:
    """Without loss, value by value."""
    order = ">u2" if layout.endswith("be") else "<u2"
    with av.open(str(path), "w") as container:
        height, width = pictures[0].shape
        stream = add_video(container, codec, rate=10, size=(width, height), layout=layout)
        for i, values in enumerate(pictures):
            frame = av.VideoFrame(stream.width, stream.height, layout)
            lines = np.zeros((stream.height, frame.planes[0].line_size // 2), order)
            lines[:, : stream.width] = values
            frame.planes[0].update(lines.tobytes())
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return turn_round(path, WIDTH, HEIGHT) if path.suffix == ".mov" else path


def read(path: Path, levels: str | None = None) -> list[npt.NDArray[np.uint8]]:
    with closing(open_source(str(path), paced=False, levels=levels)) as source:
        return [frame.pixels for frame in source.frames(Event())]


def test_grey_is_linear_between_the_levels_and_ends_at_them() -> None:
    values = np.array([[0, 6999, 7000, 7010, 8000, 9000, 9001, 65535]], np.uint16)
    # (8000 − 7000) / 2000 · 255 = 127.5, which NumPy rounds to the even 128; 10 of 2000 are 1.275.
    np.testing.assert_array_equal(apply_levels(values, Levels(7000, 9000)), [[0, 0, 0, 1, 128, 255, 255, 255]])


@pytest.mark.parametrize("text", ["7000:9500", " 7000 : 9500 ", "0:65535", "auto"])
def test_levels_are_two_values_or_auto(text: str) -> None:
    levels = parse_levels(text)
    assert (levels is None) == (text == "auto")
    assert levels is None or levels.low < levels.high


@pytest.mark.parametrize(
    "text", ["", "7000", "9000:7000", "7000:7000", "a:b", "-5:5", "1:70000", "1:2:3", "Auto", "0.5:2", "nan:1", "٣:9x"]
)
def test_what_are_no_levels_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(StreamcamError, match="levels: expected LOW"):
        parse_levels(text)


@pytest.mark.parametrize(
    ("layout", "suffix", "codec", "bits"),
    [
        ("gray16le", "mkv", "ffv1", 16),
        ("gray16le", "nut", "rawvideo", 16),
        ("gray16be", "mov", "png", 16),
        ("gray14le", "mkv", "ffv1", 14),
        ("gray12le", "mkv", "ffv1", 12),
        ("gray10le", "mkv", "ffv1", 10),
    ],
)
def test_the_cameras_own_values_are_graded(layout: str, suffix: str, codec: str, bits: int, tmp_path: Path) -> None:
    top = (1 << bits) - 1
    low, high = round(top * 0.45), round(top * 0.5)
    values = ramp(round(top * 0.4), round(top * 0.55))
    path = write(tmp_path / f"thermal.{suffix}", [values], layout, codec)
    (image,) = read(path, f"{low}:{high}")
    expected = np.clip(np.rint((values.astype(np.float64) - low) * 255 / (high - low)), 0, 255)
    if suffix == "mov":  # recorded upside down, and said so
        expected = expected[::-1, ::-1]
    assert image.shape == (HEIGHT, WIDTH, 3)
    for channel in range(3):
        np.testing.assert_allclose(image[:, :, channel], expected, atol=1)


def test_a_kelvin_can_be_seen_with_levels_and_without_them_it_is_said_to_be_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera that counts hundredths of a kelvin: a person of 306 K before a wall of 305 K."""
    scene = np.full((HEIGHT, WIDTH), 30500, np.uint16)
    scene[8:16, 20:30] = 30600
    path = write(tmp_path / "thermal.mkv", [scene] * 2)
    monkeypatch.setattr(log_once, "_logged", set())
    with caplog.at_level(logging.WARNING):
        plain, *_ = [read(path)[0] for _ in range(2)]
    assert int(plain[12, 25, 0]) - int(plain[0, 0, 0]) <= 1
    assert [record.message for record in caplog.records] == [
        "only 8 of 16 bits of grey are kept: run and explain take --levels LOW:HIGH, or auto, to choose"
    ]
    for levels in ("30400:30700", "auto"):
        graded = read(path, levels)[0]
        assert int(graded[12, 25, 0]) - int(graded[0, 0, 0]) > 80
    assert len(caplog.records) == 1


def test_auto_begins_with_the_first_picture_and_follows_slowly() -> None:
    dark, bright = ramp(7000, 8000), ramp(17000, 18000)
    follow = AutoLevels()
    first = follow.update(dark, 0.0)
    assert first.low == pytest.approx(7005, abs=5)  # the percentiles 0.5 and 99.5
    assert first.high == pytest.approx(7995, abs=5)
    next_one = follow.update(bright, 0.04)
    assert next_one.low - first.low == pytest.approx(10_000 * (1 - np.exp(-0.04 / 5)), rel=1e-3)
    for i in range(2, 125):
        later = follow.update(bright, 0.04 * i)
    assert later.low - first.low == pytest.approx(10_000 * (1 - np.exp(-0.04 * 124 / 5)), rel=1e-3)


def test_auto_begins_anew_where_time_does() -> None:
    follow = AutoLevels()
    follow.update(ramp(7000, 8000), 5.0)
    assert follow.update(ramp(17000, 18000), 0.0).low == pytest.approx(17_005, abs=5)
    assert follow.update(ramp(7000, 8000), 60.0).low == pytest.approx(7005, abs=5)


def test_auto_makes_no_noise_of_an_even_scene() -> None:
    values = (20_000 + np.random.default_rng(0).integers(0, 3, (HEIGHT, WIDTH))).astype(np.uint16)
    image = LevelMapper("auto").image(values, 0.0)
    assert np.ptp(image.astype(int)) <= 3
    assert image.mean() == pytest.approx(127, abs=3)


def test_a_few_dead_pixels_do_not_move_auto() -> None:
    values = ramp(7000, 8000)
    values[0, 0], values[-1, -1] = 0, 65535
    levels = AutoLevels().update(np.tile(values, (4, 4)), 0.0)
    assert 6900 < levels.low < 7100
    assert 7900 < levels.high < 8100


def test_levels_for_colour_are_refused_before_the_first_picture(tmp_path: Path) -> None:
    path = write_streams(tmp_path / "colour.mp4", [Video(60)])
    with pytest.raises(StreamcamError) as caught:
        open_source(str(path), levels="0:1000")
    assert str(caught.value) == (
        f"--levels is for grey video of more than 8 bits; {path} is yuv420p: leave it out there"
    )


def test_a_source_may_have_levels_of_its_own() -> None:
    config = make_config({"sources": [{"uri": "a.mkv", "levels": "7000:9500"}, "b.mkv"], "levels": "auto"})
    assert [source.levels for source in config.sources] == ["7000:9500", None]
    assert config.levels == "auto"


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ("9500:7000", "levels: expected LOW below HIGH"),
        (650, "levels: expected LOW:HIGH or auto, got the number 650"),  # what YAML makes of 10:50
        (["7000", "9500"], "levels: "),
    ],
)
def test_wrong_levels_in_a_configuration_are_refused(levels: object, words: str) -> None:
    for options in ({"sources": ["a"], "levels": levels}, {"sources": [{"uri": "a", "levels": levels}]}):
        with pytest.raises(StreamcamError, match=words):
            make_config(options)


def test_commands_say_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    colour = write_streams(tmp_path / "colour.mp4", [Video(60, frames=20)])
    assert "levels: expected LOW below HIGH" in complaint("run", colour, "--levels", "5:5")
    assert "levels: expected LOW:HIGH" in complaint("explain", colour, "-o", tmp_path / "out", "--levels", "warm")
    assert "no video stream 3" in complaint("explain", colour, "-o", tmp_path / "out", "--video-stream", "3")
    assert "leave out --sound-stream" in complaint("explain", colour, "-o", tmp_path / "out", "--sound-stream", "0")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
def test_stills_are_graded_as_well(tmp_path: Path, name: str) -> None:
    values = ramp(7000, 9500)
    PIL.Image.fromarray(values).save(tmp_path / name)
    graded = read_picture(tmp_path / name, levels="7000:9500")
    expected = np.rint((values.astype(float) - 7000) * 255 / 2500)
    assert np.abs(graded[..., 0] - expected).max() <= 1
    assert (graded == graded[..., :1]).all()
    auto = read_picture(tmp_path / name, levels="auto")
    assert auto.min() == 0
    assert auto.max() == 255


def test_stills_without_levels_are_scaled_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image_decoding._warn_of_lost_depth.cache_clear()
    PIL.Image.fromarray(ramp(0, 65535)).save(tmp_path / "x.png")
    for _ in range(2):
        assert read_picture(tmp_path / "x.png").max() == 255
    assert [r.message for r in caplog.records] == [
        "grey up to 65535 is scaled to 8 bits: --levels low:high, or auto, says which values count"
    ]


def test_levels_for_stills_in_colour_are_refused(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (9, 9)).save(tmp_path / "x.png")
    with pytest.raises(StreamcamError, match="--levels is for grey of 16 bits"):
        read_picture(tmp_path / "x.png", levels="1:2")
    said = complaint("image", "x.png", "-o", "out", "--levels", "9:2", cwd=tmp_path)
    assert "levels: expected LOW below HIGH" in said
