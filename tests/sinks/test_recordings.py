import errno
import os
import signal
import struct
import time
from contextlib import suppress
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest

from streamcam.errors import StreamcamError
from streamcam.files import unfinished_name
from streamcam.records import Frame, Result
from streamcam.sinks.faststart import index_first
from streamcam.sinks.file import path_for, require_folder
from streamcam.sinks.heat_npz import HeatRecorder
from streamcam.sinks.unfinished import has_pictures
from streamcam.sinks.video_file import VideoRecorder
from tests.support.commands import running, streamcam
from tests.support.frames import make_frame, pixels
from tests.support.heats import make_heat


def read(path: Path) -> list[tuple[float, tuple[int, int]]]:
    with av.open(str(path)) as container:
        return [(float(f.time), (f.width, f.height)) for f in container.decode(video=0) if f.time is not None]


def test_a_recording_keeps_the_frames_own_times(tmp_path: Path) -> None:
    times = [5.0, 5.04, 5.1, 5.3, 5.31]
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i, t in enumerate(times):
            recorder.on_frame(Result(Frame(make_frame(i).image, i, t, 0, "cam")))
    assert [t for t, _ in read(tmp_path / "o.mp4")] == pytest.approx([t - 5 for t in times], abs=1e-3)


def test_the_same_pictures_make_the_same_file(tmp_path: Path) -> None:
    """x264 must not read what lay in memory before: so other things lie there each time."""
    moving = [np.roll(make_frame(0).pixels.repeat(4, 0).repeat(4, 1), 3 * i, 1) for i in range(40)]
    files = set()
    for seed in range(40):
        rng, litter = np.random.default_rng(seed), []
        with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
            for i, image in enumerate(moving):
                recorder.on_frame(Result(Frame(image, i, i / 10, 0, "cam")))
                litter.append(np.full(rng.integers(1_000, 300_000), rng.integers(256), np.uint8))
                del litter[: -rng.integers(1, 6)]
        files.add(sha256((tmp_path / "o.mp4").read_bytes()).hexdigest())
    assert len(files) == 1


def test_times_do_not_drift_over_hours(tmp_path: Path) -> None:
    times = [1e4 + i * 1001 / 24_000 for i in range(400)]  # 3753.75 ticks of the file's clock: each is rounded
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i, t in enumerate(times):
            recorder.on_frame(Result(Frame(np.zeros((16, 16, 3), np.uint8), i, t, 0, "cam")))
    assert read(tmp_path / "o.mp4")[-1][0] == pytest.approx(times[-1] - times[0], abs=2e-5)


def test_a_file_that_jumps_back_goes_on(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i, t in enumerate([5.0, 5.1, 1.0, 1.1]):
            recorder.on_frame(Result(Frame(make_frame(i).image, i, t, 0, "cam")))
    assert [t for t, _ in read(tmp_path / "o.mp4")] == pytest.approx([0, 0.1, 0.1, 0.2], abs=1e-3)


def test_odd_sizes_are_made_even_and_changes_of_size_are_fitted(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i, shape in enumerate([(35, 47, 3), (35, 47, 3), (60, 80, 3)]):
            recorder.on_frame(Result(Frame(np.zeros(shape, np.uint8), i, i / 10, 0, "cam")))
    assert {size for _, size in read(tmp_path / "o.mp4")} == {(46, 34)}


@pytest.mark.parametrize(
    ("size", "matrix", "by_h273"),
    [((1280, 720), 1, [80, 112, 198]), ((64, 578), 1, [80, 112, 198]), ((640, 480), 5, [91, 104, 198])],
)
def test_a_recording_says_its_colours(tmp_path: Path, size: tuple[int, int], matrix: int, by_h273: list[int]) -> None:
    """(200, 40, 40) is (79.6, 111.9, 198.3) by BT.709 and (91.4, 104.3, 198.3) by BT.601 (ITU-T H.273)."""
    path = tmp_path / "out.mp4"
    picture = np.full((size[1], size[0], 3), (200, 40, 40), np.uint8)
    with VideoRecorder(path, "cam", pixels) as recorder:
        for i in range(3):
            recorder.on_frame(Result(Frame(picture, i, i / 10, 0, "cam")))
    nclx = b"colrnclx" + struct.pack(">HHHB", 1, 1, matrix, 0)  # ISO 14496-12: primaries, transfer, matrix, range
    assert nclx in path.read_bytes()
    with av.open(str(path)) as container:
        shown = next(container.decode(video=0))
    with av.open(str(path)) as container:  # what H.264 says in its VUI, whatever the container says
        codec = av.CodecContext.create("h264", "r")
        codec.extradata = container.streams.video[0].codec_context.extradata
        said = next(frame for packet in container.demux(video=0) for frame in codec.decode(packet))
    for frame in (shown, said):
        assert [int(frame.colorspace), int(frame.color_range)] == [matrix, 1]
        assert [int(frame.color_primaries), int(frame.color_trc)] == [1, 1]
    assert [bytes(plane)[0] for plane in shown.planes] == pytest.approx(by_h273, abs=1)
    assert shown.to_ndarray(format="rgb24")[20, 20].tolist() == pytest.approx([200, 40, 40], abs=4)


def test_a_picture_of_another_shape_is_not_squeezed(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoRecorder(path, "cam", pixels) as recorder:
        for i, shape in enumerate([(48, 96, 3), (96, 96, 3)]):
            recorder.on_frame(Result(Frame(np.full(shape, 200, np.uint8), i, i / 10, 0, "cam")))
    with av.open(str(path)) as container:
        first, second = (frame.to_ndarray(format="gray") for frame in container.decode(video=0))
        assert container.streams.video[0].sample_aspect_ratio == 1
    assert first.mean() > 180
    assert second[:, 28:68].mean() > 180
    assert second[:, :20].mean() < 20
    assert second[:, 76:].mean() < 20


def test_a_new_session_goes_on_where_the_last_ended(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i in range(6):
            recorder.on_frame(Result(make_frame(i % 3, session=i // 3)))
    times = [t for t, _ in read(tmp_path / "o.mp4")]
    assert times == pytest.approx([0, 0.1, 0.2, 0.2333, 0.3333, 0.4333], abs=1e-3)


def test_only_its_own_source_is_recorded(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i in range(4):
            recorder.on_frame(Result(make_frame(i, source="cam" if i % 2 else "other")))
    assert len(read(tmp_path / "o.mp4")) == 2


def test_heat_is_saved_with_a_row_for_each_window(tmp_path: Path) -> None:
    with HeatRecorder(tmp_path / "h.npz", "cam", ("x",) * 6) as recorder:
        for i in range(3):
            recorder.on_window(Result(make_frame(i), make_heat(cube=np.full((2, 3, 4, 5), i, np.float32))))
    with np.load(tmp_path / "h.npz", allow_pickle=False) as saved:
        assert saved["cube"].shape == (3, 2, 3, 4, 5)
        assert saved["cube"][:, 0, 0, 0, 0].tolist() == [0, 1, 2]
        assert saved["frame_index"].tolist() == [0, 1, 2]
        assert saved["slice_pts_s"].shape == (3, 3)
        assert saved["logits"].shape == (3, 6)
        assert saved["transform"].tolist() == [0, 0, 1, 1]
        assert saved["labels"].tolist() == ["x"] * 6


@pytest.mark.parametrize("kind", ["video", "heat"])
def test_a_recording_appears_when_it_is_complete_and_not_before(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("o.mp4" if kind == "video" else "h.npz")
    with VideoRecorder(path, "cam", pixels) if kind == "video" else HeatRecorder(path, "cam", ()) as recorder:
        recorder.on_frame(Result(make_frame(0)))
        recorder.on_window(Result(make_frame(0), make_heat()))
        assert not path.exists()
    assert path.exists()
    recorder.close()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["video", "heat"])
def test_an_error_elsewhere_keeps_what_was_recorded(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("o.mp4" if kind == "video" else "h.npz")
    with (
        pytest.raises(StreamcamError, match="boom"),
        VideoRecorder(path, "cam", pixels) if kind == "video" else HeatRecorder(path, "cam", ()) as recorder,
    ):
        recorder.on_frame(Result(make_frame(0)))
        recorder.on_window(Result(make_frame(0), make_heat()))
        raise StreamcamError("boom")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_recording_of_nothing_is_no_file(tmp_path: Path) -> None:
    VideoRecorder(tmp_path / "o.mp4", "cam", pixels).close()
    HeatRecorder(tmp_path / "h.npz", "cam", ()).close()
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_there_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    path.write_bytes(b"precious")
    recorder = VideoRecorder(path, "cam", pixels)
    recorder.on_frame(Result(make_frame(0)))
    recorder.close(keep=False)
    assert path.read_bytes() == b"precious"


def test_each_of_several_sources_gets_its_file() -> None:
    assert path_for(Path("d/o.mp4"), "cam1", several=True) == Path("d/o-cam1.mp4")
    assert path_for(Path("d/o.mp4"), "cam1", several=False) == Path("d/o.mp4")


def test_a_place_that_cannot_be_written_is_found_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match="there is no folder"):
        require_folder(tmp_path / "no" / "o.mp4")
    with pytest.raises(StreamcamError, match="it is a folder"):
        require_folder(tmp_path)
    for wrong in (
        lambda: VideoRecorder(tmp_path / "o.avi", "cam", pixels),
        lambda: HeatRecorder(tmp_path / "h.h5", "c", ()),
    ):
        with pytest.raises(StreamcamError, match="ends in"):
            wrong()


def boxes(path: Path) -> list[str]:
    """The boxes that a file is made of (ISO/IEC 14496-12, 4.2): a size of 32 bits, or of 64 where that says 1."""
    found, at, whole = [], 0, path.read_bytes()
    while at < len(whole):
        size, kind = struct.unpack_from(">I4s", whole, at)
        size = struct.unpack_from(">Q", whole, at + 8)[0] if size == 1 else size
        assert size >= 8
        found.append(kind.decode())
        at += size
    assert at == len(whole)
    return found


@pytest.mark.parametrize("fps", [60, 30, 10, 3, 1, 0.2])
def test_what_was_recorded_can_be_read_at_any_time_but_for_two_seconds(tmp_path: Path, fps: float) -> None:
    """Or but for the last picture, where they come more seldom."""
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i in range(max(5, round(3.5 * fps))):
            at_s = 7 + i / fps
            recorder.on_frame(Result(Frame(make_frame(i % 7).image, i, at_s, 0, "cam")))
            if i % max(1, round(fps / 5)):
                continue
            there_s = [t for t, _ in read(recorder.partial)] if has_pictures(recorder.partial) else []
            expected = [j / fps for j in range(i) if (i - j) / fps >= 2 or (fps < 1 and j < i)]
            assert there_s[: len(expected)] == pytest.approx(expected, abs=1e-3)


def test_a_camera_that_slows_down_at_night_loses_no_more(tmp_path: Path) -> None:
    times_s = [i / 30 for i in range(60)] + [2 + i for i in range(10)]
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i, at_s in enumerate(times_s):
            recorder.on_frame(Result(Frame(make_frame(i % 7).image, i, at_s, 0, "cam")))
        assert read(recorder.partial)[-1][0] >= times_s[-1] - 2


@pytest.mark.parametrize("most_bytes", [10**9, 0])
def test_a_complete_recording_is_a_plain_mp4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int) -> None:
    """Its index comes first, unless it is so long that copying it would take a while."""
    monkeypatch.setattr("streamcam.sinks.faststart.MOST_BYTES", most_bytes)
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i in range(50):
            recorder.on_frame(Result(make_frame(i)))
    kinds = [kind for kind in boxes(tmp_path / "o.mp4") if kind != "free"]
    assert kinds == (["ftyp", "moov", "mdat"] if most_bytes else ["ftyp", "mdat", "moov"])
    assert [t for t, _ in read(tmp_path / "o.mp4")] == pytest.approx([i / 10 for i in range(50)], abs=1e-3)
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].frames == 50


def parts_of(path: Path) -> list[tuple[object, ...]]:
    """What a player goes by: each stream's format, and its packets."""
    with av.open(str(path)) as container:
        streams = [
            (s.codec_context.name, s.codec_context.extradata, s.time_base, s.duration) for s in container.streams
        ]
        video, sound = container.streams.video[0].codec_context, container.streams.audio[0].codec_context
        shown = (video.width, video.height, video.pix_fmt, video.sample_aspect_ratio, video.color_range)
        colours = (video.colorspace, video.color_primaries, video.color_trc)
        packets = [
            (p.stream_index, p.pts, p.dts, p.duration, p.is_keyframe, bytes(p))
            for p in container.demux()
            if p.dts is not None
        ]
    return [*streams, shown, colours, (sound.rate, sound.layout.name), *sorted(packets, key=lambda p: p[:3])]


def write_with_sound(path: Path) -> None:
    """Pixels that are not square, in BT.709 (1: H.273), and AAC, whose first packet begins before the pictures."""
    with av.open(str(path), "w", options={"movflags": "+hybrid_fragmented", "frag_duration": "500000"}) as container:
        video = container.add_stream("libx264", rate=25, options={"bf": "2"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        context = video.codec_context
        context.sample_aspect_ratio = Fraction(16, 11)
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        for i in range(50):
            container.mux(
                video.encode(
                    av.VideoFrame.from_ndarray(make_frame(i).pixels[:24].repeat(2, 0), "rgb24").reformat(64, 48)
                )
            )
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.float32), "fltp", "mono")
            samples.rate, samples.pts = 48_000, 1920 * i
            container.mux(sound.encode(samples))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


def test_putting_the_index_first_changes_nothing_else(tmp_path: Path) -> None:
    write_with_sound(tmp_path / "o.mp4")
    before = parts_of(tmp_path / "o.mp4")
    assert boxes(tmp_path / "o.mp4")[-1] == "moov"
    index_first(tmp_path / "o.mp4")
    assert [kind for kind in boxes(tmp_path / "o.mp4") if kind != "free"] == ["ftyp", "moov", "mdat"]
    assert parts_of(tmp_path / "o.mp4") == before


def test_where_the_index_cannot_be_put_first_the_recording_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, copy: Path) -> None:
        copy.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("streamcam.sinks.faststart._copy", full)
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        for i in range(50):
            recorder.on_frame(Result(make_frame(i)))
    assert [p.name for p in tmp_path.iterdir()] == ["o.mp4"]
    assert len(read(tmp_path / "o.mp4")) == 50


def test_what_a_killed_run_left_gets_another_name(tmp_path: Path) -> None:
    for n in (1, 2):
        write_with_sound(unfinished_name(tmp_path / "o.mp4"))
        recorder = VideoRecorder(tmp_path / "o.mp4", "cam", pixels)
        assert recorder.rescued == tmp_path / f"o.part-{n}.mp4"
        assert len(read(recorder.rescued)) == 50
        recorder.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.part-1.mp4", "o.part-2.mp4"]


@pytest.mark.parametrize("size", [0, 30, 900])
def test_what_holds_no_picture_is_no_recording(tmp_path: Path, size: int) -> None:
    write_with_sound(tmp_path / "whole.mp4")
    unfinished_name(tmp_path / "o.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:size])
    recorder = VideoRecorder(tmp_path / "o.mp4", "cam", pixels)
    assert recorder.rescued is None
    recorder.close()
    assert [p.name for p in tmp_path.iterdir()] == ["whole.mp4"]


def test_two_do_not_record_to_one_file(tmp_path: Path) -> None:
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        recorder.on_frame(Result(make_frame(0)))
        with pytest.raises(StreamcamError, match=r"o\.mp4: another process is recording there"):
            VideoRecorder(tmp_path / "o.mp4", "cam", pixels)
    assert len(read(tmp_path / "o.mp4")) == 1


def test_what_is_recorded_is_brought_to_the_disk_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that can be seen without cutting the power: the system is asked to, again and again, and at the end."""
    monkeypatch.setattr("streamcam.sinks.unfinished.SYNC_S", 0.01)
    asked: list[int] = []
    monkeypatch.setattr("os.fdatasync", lambda descriptor: asked.append(os.fstat(descriptor).st_ino))
    with VideoRecorder(tmp_path / "o.mp4", "cam", pixels) as recorder:
        recorder.on_frame(Result(make_frame(0)))
        end_s = time.monotonic() + 10
        while len(asked) < 3 and time.monotonic() < end_s:
            time.sleep(0.01)
        on_the_way, number = len(asked), recorder.partial.stat().st_ino
    assert on_the_way >= 3
    assert set(asked) == {number}
    assert len(asked) > on_the_way


def test_heat_can_be_read_while_it_is_being_saved(tmp_path: Path) -> None:
    with HeatRecorder(tmp_path / "h.npz", "cam", ("x", "y")) as recorder:
        for i in range(3):
            recorder.on_window(Result(make_frame(i), make_heat(cube=np.full((2, 3, 4, 5), i, np.float32))))
            cube = np.load(tmp_path / "h.part" / "cube.npy")
            assert cube[:, 0, 0, 0, 0].tolist() == list(range(i + 1))
        names = {p.stem for p in (tmp_path / "h.part").iterdir()}
    with np.load(tmp_path / "h.npz") as saved:
        assert set(saved) == names
        assert (len(saved["cube"]), saved["labels"].tolist()) == (3, ["x", "y"])
    assert [p.name for p in tmp_path.iterdir()] == ["h.npz"]


def test_heat_that_a_killed_run_left_gets_another_name(tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / "h.part").mkdir()
        np.save(tmp_path / "h.part" / "cube.npy", np.full(3, n))
        recorder = HeatRecorder(tmp_path / "h.npz", "cam", ("x",) * 6)
        assert recorder.rescued == tmp_path / f"h-{n}.part" != tmp_path / "h.part"
        recorder.on_window(Result(make_frame(0), make_heat()))
        recorder.close()
        assert np.load(recorder.rescued / "cube.npy").tolist() == [n] * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["h-1.part", "h-2.part", "h.npz"]


LIVE = ["lavfi:testsrc2=size=160x120:rate=10", "--model", "imagenet-fast", "--bind", "none"]


def test_a_killed_run_leaves_a_recording_that_plays_and_the_next_one_keeps_it(tmp_path: Path) -> None:
    part = tmp_path / "o.part.mp4"

    def recorded_s() -> float:
        with suppress(OSError, av.error.FFmpegError):
            return read(part)[-1][0] if has_pictures(part) else 0.0
        return 0.0

    with running("run", *LIVE, "--record", "o.mp4", "--save-heat", "h.npz", cwd=tmp_path) as command:
        end_s = time.monotonic() + 60
        while (recorded_s() < 1.5 or not (tmp_path / "h.part" / "session.npy").exists()) and time.monotonic() < end_s:
            assert command.is_alive(), command.err.read_text()
            time.sleep(0.05)
        command.signal(signal.SIGKILL)
        assert command.ended().returncode == -signal.SIGKILL
    assert {"h.part", "o.part.mp4"} <= {p.name for p in tmp_path.iterdir()}
    times = read(part)
    assert times[-1][0] >= 1.5
    before = part.read_bytes()
    outputs = ["--record", "o.mp4", "--save-heat", "h.npz"]
    done = streamcam("run", *LIVE, *outputs, "--max-frames", "15", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a run that did not end had recorded there, too: it is o.part-1.mp4 now" in done.stderr
    assert {"o.mp4", "o.part-1.mp4", "h-1.part"} <= {p.name for p in tmp_path.iterdir()}
    assert len(np.load(tmp_path / "h-1.part" / "cube.npy")) > 0
    assert (tmp_path / "o.part-1.mp4").read_bytes() == before


def test_a_recording_on_its_way_is_no_source_for_the_same_name(tmp_path: Path) -> None:
    write_with_sound(tmp_path / "o.part.mp4")
    done = streamcam("run", "o.part.mp4", "--record", "o.mp4", cwd=tmp_path)
    assert done.returncode == 2
    assert "record: o.part.mp4 is taken by o.part.mp4: give another name" in done.stderr
    assert len(read(tmp_path / "o.part.mp4")) == 50


def test_a_disk_that_fills_up_keeps_what_was_recorded_until_then(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))"
    options = ["--model", "imagenet-fast", "--bind", "none", "--as-fast-as-possible", "--loop", "--record", "o.mp4"]
    done = streamcam("run", "sample", *options, cwd=tmp_path, first=limit)
    assert done.returncode == 2
    words = "cannot write o.mp4: File too large; what was recorded until then is in o.part.mp4"
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["o.part.mp4"]
    played_s: list[float] = []
    with suppress(av.error.InvalidDataError), av.open(str(tmp_path / "o.part.mp4")) as container:  # its end is cut
        played_s.extend(frame.time for frame in container.decode(video=0))
    assert played_s[-1] > 3
