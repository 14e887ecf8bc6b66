import struct
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import make_frame
from test_records import heat

from streamcam.errors import StreamcamError
from streamcam.recorder import HeatRecorder, VideoRecorder, path_for, require_folder
from streamcam.records import Frame, Image, Result


def pixels(result: Result) -> Image:
    return result.frame.pixels


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
            recorder.on_window(Result(make_frame(i), heat(cube=np.full((2, 3, 4, 5), i, np.float32))))
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
        recorder.on_window(Result(make_frame(0), heat()))
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
        recorder.on_window(Result(make_frame(0), heat()))
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
