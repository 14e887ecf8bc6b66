"""When each picture of a file is shown: whatever container it comes in, and however wrong its timestamps are.

The right value is always the one that the picture was rendered for: its number is in the picture, and picture number
`i` of a clip of 25 a second is shown at i/25 s.
"""

import itertools
import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import av
import pytest

import streamcam as package
from streamcam.errors import StreamcamError
from streamcam.explain.film import explain
from streamcam.models.base import CamModel
from streamcam.records import Frame, Result
from streamcam.sinks.video_file import VideoRecorder
from streamcam.sources.base import open_source
from streamcam.sources.timing.file_times import TimeSpan
from streamcam.sources.timing.timestamps import WRAP_S, BestEffortTimestamps, Timeline
from streamcam.train.clips import read_frames
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.dataset import read_dataset
from tests.support.commands import streamcam
from tests.support.frames import TINY_FORMAT, make_frame, pixels
from tests.support.media import beeps, rows_of, video_times
from tests.support.numbered import number_of, remuxed, write_numbered

CONTAINERS = {
    "h264": ["avi", "asf", "wmv", "ts", "m2ts", "mpg", "vob", "mov", "mkv", "flv", "nut", "mxf", "wtv", "h264"],
    "h264-deep": ["avi", "asf", "ts", "mpg", "mp4", "mkv", "flv", "nut", "wtv", "h264"],
    "hevc": ["ts", "mpg", "mp4", "mkv", "flv", "nut", "hevc"],
    "xvid": ["avi", "asf", "ts", "mpg", "mp4", "mkv", "wtv", "m4v", "3gp"],
    "mpeg2": ["avi", "asf", "ts", "mpg", "vob", "mov", "mkv", "mxf", "wtv", "m2v"],
    "mpeg1": ["avi", "asf", "ts", "mpg", "mov", "mkv", "wtv", "m1v"],
    "vp9": ["webm", "mkv", "mp4", "ivf", "avi"],
    "mjpeg": ["avi", "asf", "mov", "mkv", "mjpeg"],
}
FORMS = {"m4v": "m4v", "m1v": "mpeg1video", "m2v": "mpeg2video", "m2ts": "mpegts"}
EVERY = [(codec, kind) for codec, kinds in CONTAINERS.items() for kind in kinds]


def frames_of(path: Path, **options: Any) -> list[Frame]:
    with closing(open_source(str(path), paced=False, **options)) as source:
        return list(source.frames(Event()))


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.pixels) for frame in frames]


def times(frames: list[Frame]) -> list[float]:
    return [frame.pts_s for frame in frames]


def time_span_of(path: Path) -> TimeSpan | None:
    with closing(open_source(str(path), paced=False)) as source:
        return source.time_span


def rises(values: list[float]) -> bool:
    return all(a < b for a, b in itertools.pairwise(values))


@pytest.fixture(scope="module", params=EVERY, ids="-".join)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures 0 to 39, 25 a second, of each codec in each container."""
    codec, kind = request.param
    return write_numbered(tmp_path_factory.mktemp("clip") / f"clip.{kind}", codec, form=FORMS.get(kind))


def test_pictures_come_in_order_and_each_at_its_time(clip: Path) -> None:
    frames = frames_of(clip)
    assert numbers(frames) == list(range(40))
    assert times(frames) == pytest.approx([i / 25 for i in range(40)], abs=2e-3)
    assert {frame.session for frame in frames} == {0}
    assert time_span_of(clip) == pytest.approx(
        (0, 1.6), abs=0.021
    )  # of MPEG-1 in ASF, FFmpeg says it lasts half as long


def test_a_start_and_an_end_are_found_to_the_picture(clip: Path) -> None:
    frames = frames_of(clip, start_s=0.995, end_s=1.395)
    assert numbers(frames) == list(range(25, 35))
    assert times(frames) == pytest.approx([i / 25 for i in range(25, 35)], abs=2e-3)


@pytest.mark.parametrize("kind", ["avi", "asf", "mpg", "h264"])
def test_training_reads_what_is_shown_and_when(tmp_path: Path, kind: str) -> None:
    path = write_numbered(tmp_path / f"clip.{kind}")
    clip_format = TINY_FORMAT.__class__(8, 25, (64, 128), (64, 128), (0.0,) * 3, (1.0,) * 3)
    frames = read_frames(LabelledClip(path, 0.395, 1.6, (0,)), clip_format, count=20, position=0.0)
    assert [number_of(image.transpose(1, 2, 0)) for image in frames] == list(range(10, 30))


@pytest.mark.parametrize("kind", ["avi", "asf", "mpg", "h264", "ts"])
def test_explain_takes_every_picture_at_its_time(tiny: CamModel, tmp_path: Path, kind: str) -> None:
    done = explain(str(write_numbered(tmp_path / f"clip.{kind}")), tmp_path / "out", model=tiny)
    assert done.frames == 40
    assert done.windows > 8  # a window of 4 each tenth of a second
    seen = dict.fromkeys(float(row["time_s"]) for row in rows_of(tmp_path / "out"))
    assert list(seen) == pytest.approx([i / 25 for i in range(40)], abs=2e-3)


def is_dts(_number: int, packet: "av.Packet[av.VideoStream]") -> None:
    packet.pts = packet.dts


def in_pairs(_number: int, packet: "av.Packet[av.VideoStream]") -> None:
    step = packet.duration
    assert step is not None
    assert packet.pts is not None
    assert packet.dts is not None
    packet.pts = max(packet.pts // step // 2 * 2 * step, packet.dts)


MUXED = [(codec, kind) for codec in ("h264", "h264-deep") for kind in ("mkv", "ts", "mov", "flv")]


@pytest.mark.parametrize("edit", [is_dts, in_pairs])
@pytest.mark.parametrize(("codec", "kind"), [*MUXED, ("xvid", "mkv"), ("xvid", "mov")])
def test_a_muxer_that_writes_wrong_times_does_not_split_a_clip(
    tmp_path: Path, codec: str, kind: str, edit: "Callable[[int, av.Packet[av.VideoStream]], None]"
) -> None:
    path = remuxed(write_numbered(tmp_path / "right.mp4", codec), tmp_path / f"wrong.{kind}", edit)
    frames = frames_of(path)
    assert len(frames) >= 36  # in .mov, an edit list leaves out what such times put before the beginning
    assert numbers(frames) == sorted(numbers(frames))
    assert rises(times(frames))
    assert {frame.session for frame in frames} == {0}
    assert times(frames)[-1] - times(frames)[0] == pytest.approx((len(frames) - 1) / 25, abs=0.13)


def shown(
    timestamps: BestEffortTimestamps, packets: list[tuple[float | None, float | None]], held: int
) -> list[float | None]:
    """What a decoder that holds back `held` packets makes of packets' pts and dts, in 25ths of a second.

    It shows them in the order of their pts, where all have one, and else as they are.
    """
    known = [pts for pts, _ in packets if pts is not None]
    in_turn = [pts for pts, _ in packets] if len(known) < len(packets) else sorted(known)
    came: list[float | None] = []
    for number, packet in enumerate(packets):
        timestamps.push_packet(*(None if value is None else value / 25 for value in packet))
        last = len(packets) if number == len(packets) - 1 else number - held + 1
        due = in_turn[len(came) : max(0, last)]
        came += [timestamps.next_pts_s(None if pts is None else pts / 25) for pts in due]
    return [None if time_s is None else round(time_s * 25, 6) for time_s in came]


@pytest.mark.parametrize(
    ("packets", "held", "expected"),
    [
        ([(0, -1), (3, 0), (1, 1), (2, 2), (6, 3), (4, 4), (5, 5)], 1, [0, 1, 2, 3, 4, 5, 6]),
        ([(None, i) for i in range(7)], 2, [0, 1, 2, 3, 4, 5, 6]),
        ([(None, i) for i in (0, 1, 2, 5, 6, 9)], 2, [0, 1, 2, 5, 6, 9]),
        ([(i, i) for i in range(7)], 2, [0, 1, 2, 3, 4, 5, 6]),
        ([(i, None) for i in (0, 3, 1, 2, 6, 4, 5)], 1, [0, 1, 2, 3, 4, 5, 6]),
        ([(3, 0)] + [(None, i) for i in range(1, 5)], 3, [3, 4, 5, 6, 7]),
        ([(None, None)] * 4, 2, [None] * 4),
        ([(7, None), (None, None), (None, None)], 0, [7, None, None]),
    ],
    ids=["both", "dts", "dts-with-gaps", "dts-called-pts", "pts", "first-pts", "none", "now-and-then"],
)
def test_pictures_have_the_times_to_be_shown_or_in_turn_those_to_be_decoded(
    packets: list[tuple[float | None, float | None]], held: int, expected: list[float | None]
) -> None:
    assert shown(BestEffortTimestamps(0.04), packets, held) == expected


def placed(own: list[float | None], *, gaps: bool = False) -> tuple[list[float], list[int]]:
    """Where a timeline puts pictures of 0.1 s, and before which it says that the clock was set."""
    timeline = Timeline(0.1, gaps=gaps)
    places = [timeline.add(own_s) for own_s in own]
    return [round(place.pts_s, 6) for place in places], [i for i, place in enumerate(places) if place.is_discontinuity]


@pytest.mark.parametrize(
    ("own", "expected", "new"),
    [
        ([0, 0.1, 0.2, 0, 0.1], [0, 0.1, 0.2, 0.225, 0.25], []),
        ([0, 0.1, 0.7, 0.8, 0, 0.1], [0, 0.1, 0.7, 0.8, 0.9, 1.0], [4]),
        ([0, 0.1, 500, 500.1], [0, 0.1, 0.2, 0.3], [2]),
        ([0, 0.1, 9, 9.1], [0, 0.1, 9, 9.1], []),
        ([0, 0.1, None, 0.3], [0, 0.1, 0.2, 0.3], []),
        ([None, None, None], [0, 0.1, 0.2], []),
        ([0, 0, 0.2, 0.2, 0.4], [0, 0.1, 0.2, 0.3, 0.4], []),
        ([0, 0.1, 0.3, 0.2, 0.4], [0, 0.1, 0.3, 0.325, 0.4], []),
    ],
    ids=["out-of-order", "back", "ahead", "gap", "missing", "none", "doubled", "swapped"],
)
def test_time_goes_on_whatever_the_clock_does(own: list[float | None], expected: list[float], new: list[int]) -> None:
    at_s, set_before = placed(own)
    assert rises(at_s)
    assert set_before == new
    assert at_s == pytest.approx(expected)


def test_where_all_has_its_place_in_time_a_long_gap_is_one() -> None:
    assert placed([0, 0.1, 500, 500.1], gaps=True) == ([0, 0.1, 500, 500.1], [])


def test_a_clock_that_has_run_its_26_hours_was_not_set() -> None:
    assert placed([0, WRAP_S - 0.1, 0.1]) == ([0, pytest.approx(0.1), 0.3], [1])


# Bare streams


@pytest.mark.parametrize(("codec", "kind"), [("h264", "h264"), ("hevc", "hevc"), ("xvid", "m4v"), ("h264-deep", "264")])
@pytest.mark.parametrize("fps", [10, 60])
def test_a_bare_stream_goes_as_fast_as_it_says(tmp_path: Path, codec: str, kind: str, fps: int) -> None:
    path = write_numbered(
        tmp_path / f"clip.{kind}", codec, fps=fps, form=FORMS.get(kind, "h264" if kind == "264" else None)
    )
    frames = frames_of(path)
    assert numbers(frames) == list(range(40))
    assert times(frames) == pytest.approx([i / fps for i in range(40)], abs=1e-3)
    assert time_span_of(path) == pytest.approx((0, 40 / fps), abs=1e-3)
    with closing(open_source(str(path))) as source:
        assert source.fps == fps


@pytest.mark.parametrize(("timing", "said"), [("0", 1), ("1", 0)])
def test_of_a_bare_stream_that_does_not_say_so_the_rate_is_guessed_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, timing: str, said: int
) -> None:
    x265 = {"x265-params": f"bframes=3:b-adapt=0:log-level=none:vui-timing-info={timing}"}
    path = write_numbered(tmp_path / "clip.hevc", "hevc", fps=50, options=x265)
    with caplog.at_level(logging.WARNING):
        frames = frames_of(path)
    assert times(frames)[-1] == pytest.approx(39 / (25 if said else 50), abs=1e-3)
    assert (
        sum("clip does not say how many frames a second it has: taken for 25" in line for line in caplog.messages)
        == said
    )


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "ts", "mpg", "h264"])
def test_a_start_behind_the_end_is_told_and_not_called_damage(tmp_path: Path, kind: str) -> None:
    path = write_numbered(tmp_path / f"clip.{kind}")
    with pytest.raises(StreamcamError, match=r"ends after 1\.60 s: there is nothing from 2 s on"):
        frames_of(path, start_s=2.0)


# How long it is, beside its sound


def with_sound(
    path: Path, *, pictures_s: float = 0.0, sound_s: tuple[float, float] = (0.0, 3.0), **options: Any
) -> Path:
    sound = {".webm": "libopus", ".avi": "mp2", ".flv": "aac", ".asf": "mp2", ".mpg": "mp2"}.get(path.suffix, "aac")
    codec = "vp9" if path.suffix == ".webm" else "h264"
    times_s = [pictures_s + i / 25 for i in range(40)]
    return write_numbered(path, codec, times_s=times_s, sound=sound, sound_s=sound_s, **options)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "avi", "ts", "flv", "mpg", "asf", "nut", "mov"])
def test_a_file_is_as_long_as_its_pictures(tmp_path: Path, kind: str) -> None:
    path = with_sound(tmp_path / f"clip.{kind}")
    begin_s, end_s = time_span_of(path) or (9, 9)
    assert end_s - begin_s == pytest.approx(1.6, abs=0.002)
    assert end_s == pytest.approx(times(frames_of(path))[-1] + 0.04, abs=0.002)


@pytest.mark.parametrize("kind", ["mkv", "webm", "ts"])
def test_training_takes_all_of_a_clip_whose_sound_goes_on(tmp_path: Path, kind: str) -> None:
    for number in range(4):  # four lengths of sound: equal files would be one clip
        folder = tmp_path / ("red", "blue")[number % 2]
        folder.mkdir(exist_ok=True)
        with_sound(folder / f"{number}.{kind}", sound_s=(0.0, 3.0 + number / 4))
    dataset = read_dataset(tmp_path, need_s=0.3, val_share=0.5)
    assert [clip.end_s for clip in (*dataset.train, *dataset.val)] == pytest.approx([1.6] * 4, abs=0.09)
    assert dataset.notes == ()


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm", "ts", "mov"])
def test_pictures_that_begin_after_the_sound_keep_their_times(tiny: CamModel, tmp_path: Path, kind: str) -> None:
    path = with_sound(tmp_path / f"clip.{kind}", pictures_s=2.0, sound_s=(0.0, 4.0), beeps_s=(2.4, 3.4))
    assert time_span_of(path) == pytest.approx((2.0, 3.6), abs=0.05)
    frames = frames_of(path)
    assert numbers(frames) == list(range(40))
    assert times(frames)[0] == pytest.approx(2.0, abs=0.05)
    done = explain(str(path), tmp_path / "out", model=tiny, start_s=1.0, end_s=3.0)
    assert done.frames == pytest.approx(25, abs=1)
    assert beeps(tmp_path / "out" / "overlay.mp4") == pytest.approx([0.4], abs=0.05)
    with pytest.raises(StreamcamError, match=r"its pictures begin at 2\.\d\d s, and there are none before 0:01"):
        explain(str(path), tmp_path / "none", model=tiny, end_s=1.0)


@pytest.mark.parametrize("fps", [5, 10, 50])
def test_the_last_picture_of_a_recording_lasts_as_long_as_the_one_before(tmp_path: Path, fps: int) -> None:
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i in range(6):
            recorder.on_frame(Result(make_frame(i, fps=fps)))
    with av.open(str(tmp_path / "o.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        assert float((stream.duration or 0) * stream.time_base) == pytest.approx(6 / fps, abs=1e-3)


# A clock that is set on the way


def recording(path: Path, clock_s: float, *, sound: str | None = None, count: int = 50) -> bytes:
    """Two seconds of a transport stream whose clock shows `clock_s` at the beginning, with a beep after a second."""
    write_numbered(
        path,
        times_s=[clock_s + i / 25 for i in range(count)],
        form="mpegts",
        sound=sound,
        sound_s=(clock_s, clock_s + 2),
        beeps_s=(clock_s + 1,),
    )
    return path.read_bytes()


CLOCKS = [(0, 0), (600, 100), (100, 600), (5, 3.5), (20_000, 0)]


@pytest.mark.parametrize("clocks_s", CLOCKS)
def test_recordings_one_behind_the_other_are_sessions_whose_time_goes_on(
    tmp_path: Path, clocks_s: tuple[float, float]
) -> None:
    (path := tmp_path / "c.ts").write_bytes(b"".join(recording(tmp_path / "part.ts", at_s) for at_s in clocks_s))
    frames = frames_of(path)
    assert numbers(frames) == [*range(50), *range(50)]
    assert times(frames) == pytest.approx([i / 25 for i in range(100)], abs=2e-3)
    assert [frame.session for frame in frames] == [0] * 50 + [1] * 50
    assert time_span_of(path) == pytest.approx((0, 4), abs=2e-3)


@pytest.mark.parametrize("clocks_s", CLOCKS)
@pytest.mark.parametrize("start_s", [0.995, 2.995])
def test_a_start_is_found_in_recordings_one_behind_the_other(
    tmp_path: Path, clocks_s: tuple[float, float], start_s: float
) -> None:
    (path := tmp_path / "c.ts").write_bytes(b"".join(recording(tmp_path / "part.ts", at_s) for at_s in clocks_s))
    frames = frames_of(path, start_s=start_s)
    assert numbers(frames) == [*range(50), *range(50)][round((start_s + 0.005) * 25) :]
    assert times(frames)[0] == pytest.approx(start_s + 0.005, abs=2e-3)


@pytest.mark.parametrize("options", [{"movflags": "frag_keyframe+empty_moov"}, {"movflags": "frag_keyframe+dash"}])
def test_a_fragmented_mp4_is_as_long_as_its_pictures(tmp_path: Path, options: dict[str, str]) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(write_numbered(tmp_path / "whole.mp4"))) as whole, av.open(str(path), "w", options=options) as out:
        stream = out.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    assert time_span_of(path) == pytest.approx((0, 1.6), abs=2e-3)
    assert times(frames_of(path)) == pytest.approx([i / 25 for i in range(40)], abs=2e-3)


@pytest.mark.parametrize("clocks_s", CLOCKS)
@pytest.mark.parametrize("sound", ["aac", "mp2"])
def test_the_sound_follows_the_pictures_where_the_clock_is_set(
    tiny: CamModel, tmp_path: Path, clocks_s: tuple[float, float], sound: str
) -> None:
    parts = [recording(tmp_path / "part.ts", at_s, sound=sound) for at_s in (*clocks_s, clocks_s[0])]
    (path := tmp_path / "c.ts").write_bytes(b"".join(parts))
    done = explain(str(path), tmp_path / "out", model=tiny)
    overlay = tmp_path / "out" / "overlay.mp4"
    assert done.frames == 150
    assert video_times(overlay) == pytest.approx([i / 25 for i in range(150)], abs=0.03)
    assert beeps(overlay) == pytest.approx([1, 3, 5], abs=0.08)
    explain(str(path), tmp_path / "part", model=tiny, start_s=2.5, end_s=4.5)
    assert beeps(tmp_path / "part" / "overlay.mp4") == pytest.approx([0.5], abs=0.08)


def test_a_clock_that_wraps_is_no_new_session(tmp_path: Path) -> None:
    parts = [recording(tmp_path / "part.ts", at_s, count=25) for at_s in (WRAP_S - 0.96, 0.04)]
    (path := tmp_path / "c.ts").write_bytes(b"".join(parts))
    frames = frames_of(path)
    assert numbers(frames) == [*range(25), *range(25)]
    assert {frame.session for frame in frames} == {0}
    assert times(frames) == pytest.approx([i / 25 for i in range(50)], abs=0.09)


# A run that gives no window

QUICK = ("--model", "motion", "--bind", "none", "--as-fast-as-possible")


def test_a_run_without_a_window_says_why_and_exits_with_3(tmp_path: Path) -> None:
    done = streamcam("run", write_numbered(tmp_path / "short.mp4"), *QUICK)
    assert done.returncode == 3
    assert "short: too short for motion: 40 frames make 24 at 15 a second, and it needs 32 (2.13 s)" in done.stderr


def test_of_several_sources_each_without_a_window_is_named(tmp_path: Path) -> None:
    short = write_numbered(tmp_path / "short.mp4")
    parts = [recording(tmp_path / "part.ts", at_s) for at_s in (0, 50, 0)]
    (broken := tmp_path / "broken.ts").write_bytes(b"".join(parts))
    done = streamcam("run", "sample", short, broken, *QUICK)
    assert done.returncode == 3
    assert "streamcam: short: too short for motion" in done.stderr
    assert "streamcam: broken: no window of motion in 150 frames, which are 3 pieces: " in done.stderr
    assert "streamcam: sample" not in done.stderr


def test_a_run_that_gives_windows_exits_with_0(tmp_path: Path) -> None:
    done = streamcam("run", write_numbered(tmp_path / "clip.avi", count=80), *QUICK)
    assert done.returncode == 0, done.stderr
    assert "80 frames" in done.stdout


def test_a_loop_that_is_given_nothing_is_told_why(tiny: CamModel, tmp_path: Path) -> None:
    path = str(write_numbered(tmp_path / "short.mp4", count=5))
    with pytest.raises(
        StreamcamError, match="short: too short for tiny: 5 frames make 2 at 10 a second, and it needs 4"
    ):
        list(package.stream(path, model=tiny, device="cpu", as_fast_as_possible=True))


def test_a_file_of_pieces_too_short_to_explain_is_told_so(tiny: CamModel, tmp_path: Path) -> None:
    parts = [recording(tmp_path / "part.ts", at_s, count=6) for at_s in (0, 50, 100, 150)]
    (path := tmp_path / "c.ts").write_bytes(b"".join(parts))
    with pytest.raises(StreamcamError, match="no window of tiny in 24 frames, which are 4 pieces"):
        explain(str(path), tmp_path / "out", model=tiny)


def test_a_pause_before_the_last_picture_counts(tmp_path: Path) -> None:
    """MP4's table counts until the last picture is decoded, which with B-frames is long before it is shown."""
    times_s = [i / 25 for i in range(12)] + [60.0]
    path = write_numbered(tmp_path / "clip.mp4", "h264", times_s=times_s)
    _, end_s = time_span_of(path) or (0.0, 0.0)
    assert end_s == pytest.approx(60.04, abs=0.1)
    assert numbers(frames_of(path, start_s=40.0)) == [12]


@pytest.mark.parametrize("kind", ["ts", "mpg"])
@pytest.mark.parametrize("start_s", [0.3, 0.52, 2.1, 2.6, 3.3])
def test_a_start_near_a_files_beginning_loses_nothing(tmp_path: Path, kind: str, start_s: float) -> None:
    """A transport stream begins at 1.4 s or so, and has no index: FFmpeg may go to its second key picture."""
    codec = {"ts": "h264", "mpg": "mpeg2"}[kind]
    path = write_numbered(tmp_path / f"clip.{kind}", codec, times_s=[i / 25 for i in range(90)])
    whole = dict(zip(numbers(frames_of(path)), times(frames_of(path)), strict=True))
    frames = frames_of(path, start_s=start_s)
    expected = [number for number, time_s in whole.items() if time_s >= start_s]
    assert numbers(frames) == expected
    assert times(frames) == pytest.approx([whole[number] for number in expected], abs=0.001)


def test_a_range_between_two_pictures_is_not_called_damage(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "clip.mp4", "h264", times_s=[i / 5 for i in range(9)])
    with pytest.raises(StreamcamError, match=r"no picture of .* begins between 0.25 and 0.35 s"):
        frames_of(path, start_s=0.25, end_s=0.35)
