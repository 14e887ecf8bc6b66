"""Interlaced video: two fields, of different moments, are woven into each picture; none may come out so."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.filter import Graph

from streamcam.records import Frame
from streamcam.sources import log_once
from streamcam.sources.base import open_source
from streamcam.sources.pixels.interlaced import Deinterlacer
from streamcam.sources.reading import Reader
from tests.support.containers import add_video
from tests.support.streams import turn_round

WIDTH, HEIGHT, COUNT, FPS = 160, 96, 10, 25
BAR, STEP = 24, 10
"""A bar's width, and how far it goes from picture to picture; half of that from field to field."""

H264 = {"preset": "ultrafast", "crf": "8", "bf": "0", "flags": "+ildct+ilme"}
Pixels = npt.NDArray[np.uint8]


def bar(x: int) -> Pixels:
    picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    picture[:, x : x + BAR] = 220
    return picture


def woven(i: int, *, bottom_first: bool = False) -> Pixels:
    """What a camera with two fields a picture gives: every other line is half a picture's time later."""
    earlier, later = bar(10 + STEP * i), bar(10 + STEP * i + STEP // 2)
    picture = earlier.copy()
    picture[0 if bottom_first else 1 :: 2] = later[0 if bottom_first else 1 :: 2]
    return picture


def write(
    path: Path,
    pictures: list[Pixels],
    *,
    order: str = "tff",
    codec: str = "libx264",
    options: dict[str, str],
    layout: str = "yuv420p",
) -> Path:
    """A file; `order` is what the encoder is told of the fields: tff, bff or prog."""
    with av.open(str(path), "w") as container:
        height, width = pictures[0].shape[:2]
        stream = add_video(container, codec, rate=FPS, size=(width, height), layout=layout, options=options)
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=layout)
            container.mux(stream.encode(marked(frame, order)))
        container.mux(stream.encode(None))
    return turn_round(path, WIDTH, HEIGHT) if path.suffix == ".mov" else path


def marked(frame: av.VideoFrame, order: str) -> av.VideoFrame:
    """The same, said to be interlaced: PyAV has no way to say so of a frame but a filter."""
    graph = Graph()
    frame.time_base = Fraction(1, FPS)
    source, sink = graph.add_buffer(**_shape(frame)), graph.add("buffersink")
    mark = graph.add("setfield", f"mode={order}")
    source.link_to(mark)
    mark.link_to(sink)
    graph.configure()
    graph.vpush(frame)
    return graph.vpull()


def _shape(frame: av.VideoFrame) -> dict[str, Any]:
    return {"width": frame.width, "height": frame.height, "format": frame.format, "time_base": frame.time_base}


def read(path: Path) -> list[Frame]:
    with closing(open_source(str(path), paced=False)) as source:
        return list(source.frames(Event()))


def combs(image: Pixels) -> float:
    """How much each line differs from those above and below: about 18 where the bar is woven, 0 where it is whole."""
    green = image[:, :, 1].astype(int)
    return float(np.abs(2 * green[1:-1] - green[:-2] - green[2:]).mean())


def left_edge(image: Pixels) -> int:
    return int(np.argmax(image[HEIGHT // 2, :, 1] > 130))


KINDS = {
    "h264, top first": ("mp4", "libx264", H264, "yuv420p"),
    "h264, bottom first": ("mkv", "libx264", H264, "yuv420p"),
    "h264 in ts": ("ts", "libx264", H264, "yuv420p"),
    "mpeg2": ("mpg", "mpeg2video", {"flags": "+ildct+ilme", "qscale": "1", "b": "8M"}, "yuv420p"),
    "mpeg4": ("avi", "mpeg4", {"flags": "+ildct+ilme", "b": "8M"}, "yuv420p"),
    "prores, by its container": ("mov", "prores_ks", {"field_order": "tt"}, "yuv422p10le"),
    "ffv1, by its container": ("mkv", "ffv1", {"field_order": "tt"}, "yuv420p"),
    "ffv1, by its container, bottom first": ("mkv", "ffv1", {"field_order": "bb"}, "yuv420p"),
    "mjpeg, by its container": ("mkv", "mjpeg", {"field_order": "tt", "q": "1"}, "yuvj420p"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_interlaced_pictures_come_out_whole_at_their_own_times(kind: str, tmp_path: Path) -> None:
    if "container" in kind and not hasattr(av.VideoCodecContext, "field_order"):
        pytest.skip("PyAV 17 does not tell what a container says of fields")
    suffix, codec, options, layout = KINDS[kind]
    pictures = [woven(i, bottom_first="bottom" in kind) for i in range(COUNT)]
    order = "prog" if "container" in kind else "bff" if "bottom" in kind else "tff"
    path = write(tmp_path / f"clip.{suffix}", pictures, order=order, codec=codec, options=options, layout=layout)
    with av.open(str(path)) as container:
        plain = [
            (frame.time, combs(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)))
            for frame in container.decode(video=0)
        ]
    assert min(comb for _, comb in plain) > 10  # the case is there
    frames = read(path)
    first_s = plain[0][0] or 0.0
    assert [frame.pts_s for frame in frames] == pytest.approx([(time_s or 0.0) - first_s for time_s, _ in plain])
    assert len(frames) == COUNT
    assert max(combs(frame.pixels) for frame in frames) < 2.0
    edges = [left_edge(frame.pixels if suffix != "mov" else frame.pixels[::-1, ::-1]) for frame in frames]
    # Each at its first field's moment; at the ends of the file the filter has but one neighbour.
    assert edges == pytest.approx([10 + STEP * i for i in range(COUNT)], abs=2)


def test_camcorders_of_old_come_out_whole(tmp_path: Path) -> None:
    """DV in 625 lines is always interlaced, bottom field first, 720×576 (IEC 61834-2)."""
    small = [woven(i, bottom_first=True) for i in range(4)]
    pictures = [np.pad(np.repeat(np.tile(p, (6, 1, 1)), 4, axis=1), ((0, 0), (0, 80), (0, 0)), "edge") for p in small]
    frames = read(write(tmp_path / "tape.dv", pictures, order="bff", codec="dvvideo", options={}))
    assert len(frames) == 4
    assert max(combs(frame.pixels) for frame in frames) < 2.0
    edges = [left_edge(frame.pixels) * 720 / frame.pixels.shape[1] for frame in frames]  # its pixels are no squares
    assert edges == pytest.approx([4 * (10 + STEP * i) for i in range(4)], abs=3)


def test_what_is_turned_stays_turned(tmp_path: Path) -> None:
    (frame, *_) = read(write(tmp_path / "clip.mov", [woven(i) for i in range(3)], options=H264))
    assert left_edge(frame.pixels[::-1, ::-1]) == pytest.approx(10, abs=2)


def test_colours_and_side_data_come_through(tmp_path: Path) -> None:
    colours = "colorprim=bt709:transfer=bt709:colormatrix=bt709:fullrange=on"
    path = write(tmp_path / "clip.mov", [woven(i) for i in range(4)], options={**H264, "x264-params": colours})
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        before = list(container.decode(stream))
        fields = Deinterlacer(stream)
        after = [whole for picture in before for whole in fields.push(picture)] + fields.finish()
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert not new.interlaced_frame
        assert (new.format.name, new.rotation, new.time) == (old.format.name, old.rotation, old.time)
        assert (new.colorspace, new.color_range) == (old.colorspace, old.color_range) == (1, 2)
        assert (new.color_primaries, new.color_trc) == (old.color_primaries, old.color_trc) == (1, 1)


def test_progressive_pictures_are_left_as_they_are(tmp_path: Path) -> None:
    progressive = {key: value for key, value in H264.items() if key != "flags"}
    path = write(tmp_path / "clip.mp4", [woven(i) for i in range(4)], order="prog", options=progressive)
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    np.testing.assert_array_equal([frame.pixels for frame in read(path)], expected)


def test_pictures_that_are_not_interlaced_pass_among_those_that_are(tmp_path: Path) -> None:
    progressive = {key: value for key, value in H264.items() if key != "flags"}
    first = write(tmp_path / "1.h264", [bar(10)] * 5, order="prog", options=progressive)
    second = write(tmp_path / "2.h264", [woven(i) for i in range(5)], options=H264)
    (path := tmp_path / "mixed.h264").write_bytes(first.read_bytes() + second.read_bytes() + first.read_bytes())
    with av.open(str(path)) as container:
        decoded = [(frame.interlaced_frame, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert sum(interlaced for interlaced, _ in decoded) == 5
    frames = read(path)
    assert len(frames) == len(decoded) == 15
    for frame, (interlaced, expected) in zip(frames, decoded, strict=True):
        assert combs(frame.pixels) < 2.0
        assert interlaced or np.array_equal(frame.pixels, expected)


def test_another_size_on_the_way_loses_no_picture(tmp_path: Path) -> None:
    first = write(tmp_path / "1.h264", [woven(i) for i in range(5)], options=H264)
    second = write(tmp_path / "2.h264", [woven(i)[: HEIGHT // 2] for i in range(5)], options=H264)
    (path := tmp_path / "clip.h264").write_bytes(first.read_bytes() + second.read_bytes())
    frames = read(path)
    assert [frame.pixels.shape[0] for frame in frames] == [HEIGHT] * 5 + [HEIGHT // 2] * 5
    assert max(combs(frame.pixels) for frame in frames) < 2.0


def test_a_picture_that_is_held_was_here_when_it_came(tmp_path: Path) -> None:
    """What a live source says of a picture's age counts from then."""
    path = write(tmp_path / "clip.mp4", [woven(i) for i in range(COUNT)], options=H264)
    fed_ns: list[int] = []
    with av.open(str(path)) as container:

        class Noted:
            def demux(self) -> "Iterator[av.Packet[av.VideoStream]]":
                for packet in container.demux(video=0):
                    fed_ns.append(time.monotonic_ns())
                    yield packet

        reader = Reader(Noted(), stream=container.streams.video[0], live=True, drops=Counter())  # type: ignore[arg-type]
        arrived_ns = [reader.arrived_ns for _ in reader.frames(Event())]
    assert len(arrived_ns) == COUNT
    assert all(fed <= arrived < after for fed, arrived, after in zip(fed_ns, arrived_ns, fed_ns[1:], strict=False))


def test_what_lies_on_a_gpu_stays_woven_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg's filter for it is not in PyAV's build; the picture is a stand-in, for lack of a GPU."""
    there = SimpleNamespace(interlaced_frame=True, width=WIDTH, height=HEIGHT, format=SimpleNamespace(name="cuda"))
    with av.open(str(write(tmp_path / "clip.mp4", [woven(0)], options=H264))) as container:
        fields = Deinterlacer(container.streams.video[0])
        monkeypatch.setattr(log_once, "_logged", set())
        with caplog.at_level(logging.WARNING):
            assert [fields.push(there) for _ in range(2)] == [[there]] * 2  # type: ignore[arg-type]
    assert [record.message for record in caplog.records] == [
        "interlaced video is not deinterlaced on the GPU: leave out --decode cuda"
    ]


def test_fields_that_come_one_by_one_are_not_torn_apart_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEVC knows interlaced video only as single fields (ITU-T H.265, field_seq_flag), of half the height each."""
    options = {"x265-params": "interlace=tff:log-level=none", "preset": "ultrafast"}
    fields = [bar(10 + STEP * i)[: HEIGHT // 2] for i in range(6)]
    path = write(tmp_path / "clip.mp4", fields, order="prog", codec="libx265", options=options)
    with av.open(str(path)) as container:
        expected = [(f.interlaced_frame, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert all(interlaced for interlaced, _ in expected)
    monkeypatch.setattr(log_once, "_logged", set())
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal([frame.pixels for frame in read(path)], [image for _, image in expected])
    assert [record.message for record in caplog.records] == [
        "a stream of single fields: each is taken for a picture, of half the height"
    ]
