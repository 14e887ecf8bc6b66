"""A recorded file explained: averages by hand, then real files: is it right, complete, in sync, always the same?"""

import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from streamcam.errors import StreamcamError
from streamcam.explain import film as explaining
from streamcam.explain.film import explain, seconds_of
from streamcam.explain.findings import find, strongest
from streamcam.explain.per_frame import PerFrame
from streamcam.explain.storyboard import EvenSample, TimeSeries
from streamcam.heat.localise import Box, largest_box, on_picture
from streamcam.heat.results import HeatContext
from streamcam.models.base import CamModel
from streamcam.records import Heat, Result, Transform
from streamcam.sinks import heat_zarr as zarr_heat
from streamcam.sources.base import open_source
from tests.support.containers import add_audio
from tests.support.frames import make_frame
from tests.support.heats import make_heat
from tests.support.media import beeps, rows_of, video_times
from tests.support.streams import Tone, Video, write_streams

RATE = 48_000

CONTEXT = HeatContext("m", "h", ("a", "b", "c"), np.array([1.0, 2.0, 3.0], np.float32))


def window(first_s: float, last_s: float, *, logits: list[float], early: float, late: float) -> Heat:
    """Heat of 3 classes in a shuffled order, two slices at the window's ends; class c has (c + 1) × the given value."""
    classes = np.array([2, 0, 1])
    slices = np.array([early, late], np.float32)[None, :, None, None] * np.ones((3, 2, 2, 2), np.float32)
    return make_heat(
        cube=slices * (classes[:, None, None, None] + 1).astype(np.float32),
        common=np.full((2, 2, 2), [[[early]], [[late]]], np.float32) / 2,
        classes=classes,
        labels=("c", "a", "b"),
        scores=np.full(3, 0.3, np.float32),
        logits=np.array(logits, np.float32),
        pts_s=np.array([first_s, last_s]),
        clip_pts_s=(first_s, last_s),
    )


def heat_of(result: Result) -> Heat:
    assert result.heat is not None
    return result.heat


def per_frame_of(frames: int, windows: list[Heat], **options: Any) -> list[Result]:
    """Ten frames a second through `PerFrame`, each window as soon as its last frame is there."""
    per_frame, results, due = PerFrame(CONTEXT, **options), [], list(windows)
    for i in range(frames):
        results += per_frame.push(make_frame(i))
        if due and i / 10 >= due[0].clip_pts_s[1] - 1e-9:
            results += per_frame.add(due.pop(0))
    return results + per_frame.finish()


def test_a_frame_is_the_average_over_the_windows_that_contain_it() -> None:
    first = window(0.0, 0.2, logits=[0, 0, 0], early=0, late=2)
    second = window(0.1, 0.3, logits=[2, 4, 6], early=10, late=20)
    results = per_frame_of(4, [first, second])
    assert [r.frame.index for r in results] == [0, 1, 2, 3]
    assert [heat_of(r).logits.tolist() for r in results] == [[0, 0, 0], [1, 2, 3], [1, 2, 3], [2, 4, 6]]
    # class c is c + 1 times: the mean of 0→2 at its start, middle, end, and of 10→20 at its start, middle, end
    for result, expected in zip(results, [0, (1 + 10) / 2, (2 + 15) / 2, 20], strict=True):
        heat = heat_of(result)
        assert heat.cube.shape == (3, 1, 2, 2)
        for k, c in enumerate(heat.classes):
            assert heat.cube[k] == pytest.approx((c + 1) * expected), result.frame.index
        assert heat.common == pytest.approx(expected / 2)
        assert heat.pts_s.tolist() == [result.frame.pts_s]
    assert [heat_of(r).clip_pts_s for r in results] == [(0, 0.2), (0, 0.3), (0, 0.3), (0.1, 0.3)]


def test_classes_are_ranked_by_the_average_and_scored_by_it() -> None:
    result = per_frame_of(3, [window(0.0, 0.2, logits=[1, 3, 2], early=1, late=1)])[0]
    heat = heat_of(result)
    assert (heat.labels, heat.classes.tolist()) == (("b", "c", "a"), [1, 2, 0])
    exp = np.exp([3, 2, 1])
    assert heat.scores == pytest.approx(exp / exp.sum(), abs=1e-6)
    assert heat.scale is not None
    assert heat.scale.tolist() == [2, 3, 1]


def test_frames_behind_the_last_window_keep_it() -> None:
    results = per_frame_of(6, [window(0.0, 0.2, logits=[1, 2, 3], early=0, late=8)])
    assert len(results) == 6
    for result in results[2:]:
        assert heat_of(result).cube[0, 0, 0, 0] == pytest.approx(3 * 8)
        assert heat_of(result).clip_pts_s == (0.0, 0.2)


def test_frames_between_two_windows_keep_the_one_before() -> None:
    windows = [window(0.0, 0.1, logits=[1, 1, 1], early=1, late=1), window(0.4, 0.5, logits=[5, 5, 5], early=5, late=5)]
    assert [heat_of(r).logits[0] for r in per_frame_of(6, windows)] == [1, 1, 1, 1, 5, 5]


def test_without_a_window_there_is_no_heat() -> None:
    assert [r.heat for r in per_frame_of(3, [])] == [None] * 3


def test_nothing_is_averaged_over_a_break() -> None:
    per_frame = PerFrame(CONTEXT)
    for i in range(3):
        per_frame.push(make_frame(i))
    per_frame.add(window(0.0, 0.2, logits=[1, 2, 3], early=1, late=1))
    done = per_frame.push(make_frame(0, session=1))
    assert [r.frame.index for r in done] == [0, 1, 2]
    assert [r.heat for r in per_frame.finish()] == [None]


def test_what_waits_is_bounded_by_a_window() -> None:
    per_frame, most, given = PerFrame(CONTEXT), 0, 0
    for i in range(500):
        given += len(per_frame.push(make_frame(i)))
        if i >= 15 and i % 4 == 3:
            given += len(per_frame.add(window((i - 15) / 10, i / 10, logits=[1, 2, 3], early=1, late=1)))
        most = max(most, len(per_frame))
    assert most <= 16 + 4
    assert given + len(per_frame.finish()) == 500


def test_asked_for_classes_take_the_place_of_the_weakest() -> None:
    logits = np.array([5, 4, 3, 2, 1], np.float32)
    assert strongest(logits, top_k=3) == [0, 1, 2]
    assert strongest(logits, top_k=3, always=[1]) == [0, 1, 2]
    assert strongest(logits, top_k=3, always=[4]) == [0, 1, 4]
    assert strongest(logits, top_k=1, always=[4, 3]) == [3, 4]
    assert strongest(logits, top_k=9) == [0, 1, 2, 3, 4]


def test_boxes_of_a_smaller_picture_are_those_of_the_picture() -> None:
    cells = np.random.default_rng(3).normal(size=(7, 7)).astype(np.float32)
    heat = make_heat(
        cube=cells[None, None],
        common=np.zeros((1, 7, 7), np.float32),
        scores=np.ones(1, np.float32),
        pts_s=np.zeros(1),
        classes=np.array([0]),
        labels=("a",),
    )
    exact, quick = (find(heat, pts_s=0, width=1280, height=720, max_side=side)[0] for side in (None, 320))
    assert exact.box == largest_box(on_picture(cells, Transform(), width=1280, height=720))
    assert exact.box is not None
    assert quick.box is not None
    assert np.abs(np.subtract(exact.box, quick.box)).max() <= 8
    assert np.abs(np.subtract(exact.peak, quick.peak)).max() <= 8


@pytest.mark.parametrize("count", [1, 5, 48, 1000])
def test_few_are_kept_of_many_and_evenly(count: int) -> None:
    kept: EvenSample[int] = EvenSample(8)
    for i in range(count):
        if kept.wants(i * 0.04):
            kept.add(i * 0.04, i)
        assert len(kept) <= 32
    chosen = kept.chosen()
    assert len(chosen) == min(8, count)
    if count == 1000:
        assert np.abs(np.diff(chosen) - 125).max() < 45


def test_a_time_series_keeps_its_mean_in_few_steps() -> None:
    series = TimeSeries(most=64)
    for i in range(10_000):
        series.add(float(i), np.array([i % 2, i], np.float32))
    times, values = series.steps()
    assert 32 <= len(times) <= 64
    assert values[:, 0] == pytest.approx(0.5)
    assert values[:, 1] == pytest.approx(times, rel=1e-4)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("01:02:03.5", 3723.5), ("0.25", 0.25)])
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["-1", "nan", "1:2:3:4", "1m", "", ":30", "1e3"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(StreamcamError, match="not a time"):
        seconds_of(text)


# Real files


def beeping(silent: Path, path: Path, codec: str = "aac") -> Path:
    """A video of 8 s with a beep of a tenth of a second at each full second."""
    t = np.arange(8 * RATE) / RATE
    sound = (np.where(t % 1 < 0.1, 0.5 * np.sin(2 * np.pi * 1000 * t), 0) * 32767).astype(np.int16)
    with av.open(str(silent)) as source, av.open(str(path), "w") as out:
        video, audio = (
            out.add_stream_from_template(source.streams.video[0]),
            add_audio(out, codec, rate=RATE),
        )
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        for i in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, i : i + 1024], format="s16", layout="mono")
            frame.rate, frame.pts, frame.time_base = RATE, i, Fraction(1, RATE)
            out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
    return path


@pytest.fixture(scope="module")
def clip(table_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return beeping(table_clip, tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="module")
def explained(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """From 2.5 to 5.5 s, while the cup takes the place of the cat, by `imagenet`."""
    out = tmp_path_factory.mktemp("explained") / "out"
    done = explain(
        str(clip), out, model="imagenet", top_k=3, every=2, start_s=2.5, end_s=5.5, precision="fp32", device="cpu"
    )
    assert (done.frames, done.window_frames) == (90, 16)
    return out


@pytest.mark.slow
def test_the_heat_and_the_boxes_follow_the_thing_that_is_named(explained: Path, renderer: ModuleType) -> None:
    names = {"cat": "cat", "espresso": "cup", "cup": "cup"}
    peaks, overlaps = [], []
    for row in rows_of(explained)[::3]:
        thing = renderer.boxes(float(row["time_s"])).get(names.get(row["class"]))
        if thing is None:
            peaks.append(False)
            continue
        truth = Box(*(round(edge) for edge in thing))
        peaks.append(truth.x0 <= int(row["peak_x"]) < truth.x1 and truth.y0 <= int(row["peak_y"]) < truth.y1)
        overlaps.append(Box(*(int(row[edge]) for edge in ("x0", "y0", "x1", "y1"))).iou(truth))
    assert len(peaks) == 90
    assert np.mean(peaks) >= 0.9
    assert np.median(overlaps) > 0.4


def test_table_heat_and_overlay_speak_of_the_same_frames(explained: Path) -> None:
    rows = rows_of(explained)
    with np.load(explained / "heat.npz") as saved:
        heat = dict(saved)
    assert heat["cube"].shape == (90, 3, 1, 9, 12)
    assert heat["frame_index"].tolist() == list(range(90)) == [int(row["frame"]) for row in rows[::3]]
    assert [float(row["time_s"]) for row in rows[::3]] == pytest.approx(heat["slice_pts_s"][:, 0], abs=1e-5)
    assert [row["class"] for row in rows] == [str(heat["labels"][c]) for c in heat["classes"].ravel()]
    assert [float(row["score"]) for row in rows] == pytest.approx(heat["scores"].ravel(), abs=1e-5)
    logits = np.take_along_axis(heat["logits"], heat["classes"], axis=1).ravel()
    assert [float(row["logit"]) for row in rows] == pytest.approx(logits, abs=1e-3)
    centred = heat["cube"][30, 0, 0].astype(np.float32) - heat["common"][30, 0]
    box = largest_box(on_picture(centred, Transform(), width=480, height=360), threshold=0.2)
    assert box is not None
    assert np.abs(np.subtract([int(rows[90][edge]) for edge in ("x0", "y0", "x1", "y1")], box)).max() <= 3
    assert video_times(explained / "overlay.mp4") == pytest.approx(heat["slice_pts_s"][:, 0] - 2.5, abs=1e-4)


def test_a_frame_has_the_mean_of_the_models_own_windows(clip: Path, tiny: CamModel, tmp_path: Path) -> None:
    """Against the model itself, window by window: 10 of 30 frames a second, 4 at a time, every one."""
    explain(str(clip), tmp_path / "out", model=tiny, end_s=2.0, precision="fp32", device="cpu", top_k=3)
    source = open_source(str(clip), paced=False, end_s=2.0)
    images = np.stack([frame.pixels for frame in source.frames(Event())][::3])
    source.close()
    windows = [tiny.explain(images[i : i + 4]).logits for i in range(len(images) - 3)]
    with np.load(tmp_path / "out" / "heat.npz") as saved:
        logits = saved["logits"]
    for sample in (0, 2, 9, 19):  # in 1, 3, 4 and 1 windows
        expected = np.mean(windows[max(0, sample - 3) : sample + 1], axis=0)
        assert logits[3 * sample] == pytest.approx(expected, abs=2e-3), sample


def test_the_sheet_is_a_picture_with_something_on_it(explained: Path) -> None:
    sheet = cv2.imread(str(explained / "sheet.png"))
    assert sheet is not None
    assert 900 < sheet.shape[1] < 2000
    assert 900 < sheet.shape[0] < 2000
    assert sheet.std() > 40


def test_the_box_is_on_the_overlay(explained: Path) -> None:
    row = rows_of(explained)[0]
    with av.open(str(explained / "overlay.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    x0, x1, y0, y1 = (int(row[edge]) for edge in ("x0", "x1", "y0", "y1"))
    assert picture[(y0 + y1) // 2, max(0, x0 - 1) : x0 + 3].min(-1).max() > 150
    assert picture[(y0 + y1) // 2, x1 - 4 : x1 + 1].min(-1).max() > 150


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "becomes"),
    [("c.mp4", "aac", "aac"), ("c.mkv", "libopus", "opus"), ("c.mkv", "pcm_s16le", "aac"), ("c.ts", "aac", "aac")],
)
def test_the_sound_is_kept_and_in_sync(
    table_clip: Path, tiny: CamModel, tmp_path: Path, name: str, codec: str, becomes: str
) -> None:
    explain(str(beeping(table_clip, tmp_path / name, codec)), tmp_path / "out", model=tiny, start_s=2.5, end_s=5.2)
    overlay = tmp_path / "out" / "overlay.mp4"
    with av.open(str(overlay)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == becomes
        packets = list(container.demux(audio=0))
        assert max(float(p.pts * p.time_base) for p in packets if p.pts is not None) < 2.72
    assert beeps(overlay) == pytest.approx([0.5, 1.5, 2.5], abs=0.03)
    assert video_times(overlay)[-1] == pytest.approx(2.7 - 1 / 30, abs=0.07)


def test_a_file_without_sound_stays_without(tiny: CamModel, tmp_path: Path) -> None:
    explain("sample", tmp_path / "out", model=tiny, end_s=1.0)
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert not container.streams.audio


@pytest.mark.parametrize(
    ("chosen", "width", "channels"), [({}, 128, 2), ({"video_stream": 0, "sound_stream": 1}, 64, 1)]
)
def test_streams_are_the_best_or_those_that_are_chosen(
    tiny: CamModel, tmp_path: Path, chosen: dict[str, int], width: int, channels: int
) -> None:
    videos = [Video(60, frames=20), Video(120, 128, 96, frames=20, disposition=Disposition.default)]
    path = write_streams(tmp_path / "two.mkv", videos, [Tone("stereo"), Tone("mono")])
    explain(str(path), tmp_path / "out", model=tiny, **chosen)  # type: ignore[arg-type]
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert container.streams.video[0].width == width
        assert container.streams.audio[0].codec_context.channels == channels


@pytest.mark.parametrize("name", ["c.mp4", "c.mkv", "c.ts"])
def test_a_start_is_found_to_the_frame(table_clip: Path, clip: Path, tmp_path: Path, name: str) -> None:
    path = beeping(table_clip, tmp_path / name)
    whole, part = (open_source(str(path), paced=False, start_s=start_s) for start_s in (0.0, 5.5))
    expected = [frame for frame in whole.frames(Event()) if frame.pts_s >= 5.5]
    got = list(part.frames(Event()))
    assert len(got) == len(expected) > 70
    assert [frame.pts_s for frame in got] == [frame.pts_s for frame in expected]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(got, expected, strict=True))
    whole.close()
    part.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npz", "zarr"])
def test_two_runs_give_identical_bytes(clip: Path, tiny: CamModel, tmp_path: Path, kind: str) -> None:
    for name in "ab":
        explain(str(clip), tmp_path / name, model=tiny, start_s=1.0, end_s=3.0, heat=kind)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert {path.parts[0] for path in files} == {"overlay.mp4", "sheet.png", "frames.csv", f"heat.{kind}"}
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path


def test_zarr_holds_what_npz_holds_in_chunks(
    clip: Path, tiny: CamModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zarr

    monkeypatch.setattr(zarr_heat, "CHUNK_ROWS", 16)
    for kind in ("npz", "zarr"):
        explain(str(clip), tmp_path / kind, model=tiny, heat=kind, end_s=1.5)
    group: Any = zarr.open_group(str(tmp_path / "zarr" / "heat.zarr"), mode="r")
    with np.load(tmp_path / "npz" / "heat.npz") as saved:
        for name in set(saved) - {"labels", "transform"}:
            assert np.array_equal(group[name][:], saved[name]), name
        assert group.attrs["labels"] == saved["labels"].tolist()
        assert group.attrs["transform"] == saved["transform"].tolist()
    assert group["cube"].chunks[0] == 16


def test_heat_that_outgrows_memory_goes_into_zarr(
    tiny: CamModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "NPZ_LIMIT_BYTES", 10_000)
    explain("sample", tmp_path / "out", model=tiny, end_s=1.0)
    assert (tmp_path / "out" / "heat.zarr").is_dir()
    monkeypatch.setattr(zarr_heat, "find_spec", lambda _: None)
    with pytest.raises(StreamcamError, match=r"pip install 'streamcam\[zarr\]'"):
        explain("sample", tmp_path / "other", model=tiny, end_s=1.0)
    assert not (tmp_path / "other").exists()


def test_the_asked_for_class_is_painted_and_its_heat_is_saved(tiny: CamModel, tmp_path: Path) -> None:
    explain("sample", tmp_path / "out", model=tiny, end_s=1.0, classes=["blue"], top_k=1)
    assert {row["class"] for row in rows_of(tmp_path / "out")} == {"blue"}


def test_a_file_shorter_than_a_window_is_one_window(tiny: CamModel, tmp_path: Path) -> None:
    done = explain("sample", tmp_path / "out", model=tiny, end_s=0.2)
    assert (done.frames, done.windows, done.window_frames) == (5, 1, 2)
    assert len(rows_of(tmp_path / "out")) == 5 * 3


def test_earlier_outputs_are_replaced_only_by_force(tiny: CamModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    explain("sample", out, model=tiny, end_s=0.5, heat="zarr")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(StreamcamError, match="is not empty: name a new folder"):
        explain("sample", out, model=tiny, end_s=0.5)
    explain("sample", out, model=tiny, end_s=0.5, force=True)
    assert {p.name for p in out.iterdir()} == {"overlay.mp4", "heat.npz", "sheet.png", "frames.csv", "notes.txt"}


@pytest.mark.parametrize(
    ("uri", "options", "words"),
    [
        ("no.mp4", {}, "no such file: no.mp4"),
        ("-", {}, "explain is for files"),
        ("sample", {"model": "r3d_17"}, "no such model"),
        ("sample", {"classes": ["tabbi"]}, "has no class 'tabbi'"),
        ("sample", {"start_s": 9.0}, "ends after 8.04 s: there is nothing from 0:09 on"),
        ("sample", {"start_s": 3.0, "end_s": 2.0}, "an end after the start"),
        ("sample", {"model": "imagenet", "every": 17}, "--every 17 would leave frames out"),
        ("sample", {"heat": "h5"}, "no such heat"),
        ("lavfi:testsrc2=size=320x240:rate=30", {}, "has no end: give --end"),
    ],
    ids=str,
)
def test_bad_input_is_said_and_leaves_nothing(tmp_path: Path, uri: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(StreamcamError, match=words):
        explain(uri, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_no_output_takes_the_place_of_its_input(table_clip: Path, tiny: CamModel, tmp_path: Path) -> None:
    path = beeping(table_clip, tmp_path / "overlay.mp4")
    with pytest.raises(StreamcamError, match="would be replaced by an output"):
        explain(str(path), tmp_path, model=tiny, force=True)


def test_a_folder_that_cannot_be_made_is_said(tiny: CamModel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StreamcamError, match="is not a folder"):
        explain("sample", tmp_path / "file" / "out", model=tiny)


def test_an_error_on_the_way_leaves_nothing(tiny: CamModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StreamcamError("boom")

    monkeypatch.setattr("streamcam.sinks.heat_npz.HeatRecorder.on_window", fail)
    with pytest.raises(StreamcamError, match="boom"):
        explain("sample", tmp_path / "a" / "out", model=tiny)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    endless = ["lavfi:testsrc2=size=320x240:rate=30", "--end", "1:00:00"]
    command = [sys.executable, "-m", "streamcam", "explain", *endless, "-o", str(out), "--top-k", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("*/frames.csv")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())
