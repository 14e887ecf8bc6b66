"""The command line as people type it: real processes, real files."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
import pytest

from streamcam.cli.demo import demo_options
from streamcam.models.registry import load_model, save_checkpoint
from tests.support.cameras import rtsp_server
from tests.support.commands import complaint, line_of, running, streamcam, streamcam_anew
from tests.support.paths import SAMPLE

FAST = ["--model", "imagenet-fast", "--bind", "none", "--as-fast-as-possible"]


@pytest.fixture(scope="module")
def recorded(table_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of a clip, as fast as possible: a.* and b.*, each by a Python of its own."""
    folder = tmp_path_factory.mktemp("runs")
    for name, command in (("a", streamcam_anew), ("b", streamcam)):
        outputs = [
            *("--record", str(folder / f"{name}.mp4"), "--save-heat", str(folder / f"{name}.npz")),
            *("--summary-json", str(folder / f"{name}.json")),
        ]
        done = command("run", str(table_clip), *FAST, "--max-frames", "90", *outputs)
        assert done.returncode == 0, done.stderr
        assert "90 frames, 30 windows, 30 results" in done.stdout
    return folder


def test_the_version_is_told() -> None:
    done = streamcam_anew("--version")
    assert (done.returncode, done.stdout) == (0, f"streamcam {version('streamcam')}\n")


@pytest.mark.parametrize("command", ["['run', 'nosuch.mp4']", "['explain', 'nosuch.mp4', '-o', 'out']"])
def test_a_file_that_is_not_there_is_told_before_torch_is_loaded(command: str) -> None:
    code = f"""
import sys
from streamcam.cli.main import app
from streamcam.errors import StreamcamError
try:
    app({command}, standalone_mode=False)
except StreamcamError as e:
    print(e, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "no such file: nosuch.mp4 False\n"


def test_opencv_is_loaded_before_pyav_where_a_window_may_open() -> None:
    """Otherwise the window would use the libxcb of PyAV, and hang."""
    code = """
import sys
from streamcam.cli.main import app
from streamcam.errors import StreamcamError
try:
    app(["record", "nosuch.mp4", "--label", "wave"], standalone_mode=False)
except StreamcamError as e:
    print(e, [name for name in sys.modules if name in ("cv2", "av")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "no such file: nosuch.mp4 ['cv2', 'av']\n"


def test_a_lost_camera_is_told_of_once(free_port: int) -> None:
    url = f"rtsp://127.0.0.1:{free_port}/live"
    done = streamcam("run", url, "--model", "imagenet-fast", "--bind", "none", "--seconds", "3")
    assert done.stderr.count("127.0.0.1 lost: cannot open") == 1, done.stderr


@pytest.mark.parametrize(("transport", "words"), [("tcp", "that way"), ("smoke", "'auto', 'tcp', 'udp' or 'http'")])
def test_the_way_of_rtsp_is_an_option(free_port: int, transport: str, words: str) -> None:
    command = ["run", f"rtsp://127.0.0.1:{free_port}/live", "--rtsp-transport", transport, "--seconds", "3"]
    with rtsp_server(free_port, "--transport", "udp"):
        done = streamcam(*command, "--model", "imagenet-fast", "--bind", "none")
    assert words in done.stderr


def test_a_command_of_commands_alone_shows_its_help_and_complains_of_nothing() -> None:
    done = streamcam("keys")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout


@pytest.mark.slow
def test_two_runs_as_fast_as_possible_give_identical_bytes(recorded: Path) -> None:
    for kind in ("mp4", "npz"):
        assert (recorded / f"a.{kind}").read_bytes() == (recorded / f"b.{kind}").read_bytes()


@pytest.mark.slow
def test_a_run_leaves_exactly_what_was_asked_for(recorded: Path) -> None:
    assert sorted(p.name for p in recorded.iterdir()) == sorted(
        f"{n}.{k}" for n in "ab" for k in ("mp4", "npz", "json")
    )
    with av.open(str(recorded / "a.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 90
    with np.load(recorded / "a.npz") as saved:
        assert saved["cube"].shape == (30, 5, 16, 7, 9)
        labels = saved["labels"][saved["classes"][:, 0]]
        assert set(labels) == {"cat"}


@pytest.mark.slow
def test_the_summary_says_what_the_run_did(recorded: Path) -> None:
    summary = json.loads((recorded / "a.json").read_text())
    assert (summary["frames"], summary["windows"], summary["results"], summary["drops"]) == (90, 30, 30, {})
    assert summary["latency_ms"]["infer"]["count"] >= 30
    assert {"p50", "p95", "p99"} <= summary["latency_ms"]["prepare"].keys()
    assert (summary["model"], summary["engine"], summary["fps"] > 0) == ("imagenet-fast", "stream", True)


@pytest.mark.slow
def test_several_sources_share_a_worker_and_each_has_its_file(tmp_path: Path) -> None:
    sources = ["sample", "lavfi:testsrc2=size=320x240:rate=30"]
    outputs = ["--record", str(tmp_path / "o.mp4"), "--summary-json", str(tmp_path / "s.json")]
    done = streamcam("run", *sources, *FAST, "--max-frames", "40", *outputs)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {"o-sample.mp4", "o-testsrc2.mp4", "s.json"}
    assert json.loads((tmp_path / "s.json").read_text())["sources"].keys() == {"sample", "testsrc2"}


@pytest.mark.slow
def test_window_hop_fps_and_classes_reach_the_network(table_clip: Path, tmp_path: Path) -> None:
    heat = tmp_path / "h.npz"
    options = ["--window", "8", "--hop", "4", "--fps", "10", "--classes", "espresso,CAT", "--save-heat", str(heat)]
    done = streamcam("run", str(table_clip), *FAST, "--max-frames", "90", *options)
    assert done.returncode == 0, done.stderr
    with np.load(heat) as saved:
        assert saved["cube"].shape[1:3] == (2, 8)
        assert np.diff(saved["slice_pts_s"][0]) == pytest.approx(np.full(7, 0.1), abs=0.02)
        assert np.diff(saved["slice_pts_s"][:, 0]) == pytest.approx(np.full(len(saved["cube"]) - 1, 0.4), abs=0.02)
        assert {str(saved["labels"][i]) for i in saved["classes"][0]} == {"espresso", "cat"}


@pytest.mark.slow
def test_a_3d_network_runs_without_weights(table_clip: Path, tmp_path: Path) -> None:
    heat = tmp_path / "h.npz"
    options = ["--model", "r3d_18", "--weights", "none", "--bind", "none", "--as-fast-as-possible"]
    done = streamcam("run", str(table_clip), *options, "--max-frames", "50", "--save-heat", str(heat))
    assert done.returncode == 0, done.stderr
    assert "engine window" in done.stderr
    with np.load(heat) as saved:
        assert saved["cube"].shape == (2, 5, 2, 7, 7)


TELLS_OPENCVS_THREADS = """
import cv2, os
cv2.setNumThreads(2)
leave = os._exit
os._exit = lambda code: (os.write(1, b"%d" % cv2.getNumThreads()), leave(code))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "sample", "--model", "nothing"),
        ("explain", "sample", "-o", "out", "--model", "nothing"),
        ("image", "a.png", "-o", "out", "--model", "nothing"),
        ("eval", ".", "--model", "nothing"),
    ],
    ids=lambda a: a[0],
)
def test_opencv_leaves_the_cores_to_the_network(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    done = streamcam(*arguments, cwd=tmp_path, first=TELLS_OPENCVS_THREADS)
    assert (done.returncode, done.stdout) == (2, "1"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("options", "slices", "hop"), [(["--hop", "16"], 2, 16), (["--dense", "--hop", "4"], 16, 4)])
def test_dense_and_hop_reach_the_stream(
    table_clip: Path, tmp_path: Path, options: list[str], slices: int, hop: int
) -> None:
    heat = tmp_path / "h.npz"
    stream = ["--model", "r3d_18", "--weights", "none", "--engine", "stream", *options]
    done = streamcam(
        "run", str(table_clip), *FAST, *stream, "--fps", "30", "--max-frames", "80", "--save-heat", str(heat)
    )
    assert done.returncode == 0, done.stderr
    assert "engine stream" in done.stderr
    with np.load(heat) as saved:
        times_s = saved["slice_pts_s"]
        assert times_s.shape[1] == slices
        assert np.diff(times_s, axis=1) == pytest.approx(16 / slices / 30, abs=0.01)
        assert np.diff(times_s[:, 0]) == pytest.approx(hop / 30, abs=0.01)


@pytest.mark.slow
def test_a_pipe_is_a_source() -> None:
    with SAMPLE.open("rb") as stdin:
        done = streamcam_anew("run", "-", *FAST, "--max-frames", "30", stdin=stdin)
    assert "30 frames" in done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_run_within_a_second_with_the_summary_and_the_recording(
    tmp_path: Path, signal_number: int
) -> None:
    path = tmp_path / "o.mp4"
    command = [sys.executable, "-m", "streamcam", "run", "sample", "--loop", "--bind", "none", "--record", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    partial = tmp_path / "o.part.mp4"
    deadline = time.monotonic() + 40
    while not (partial.exists() and partial.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    start_s = time.monotonic()
    process.send_signal(signal_number)
    try:
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert time.monotonic() - start_s < 2.5  # a second for the run, the rest for Python to leave
    assert process.returncode == 0, err
    assert "results in" in out
    assert "Traceback" not in err
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such-file.mp4"], "no such file: no-such-file.mp4"),
        (["rtsp://u:hunter2@/x"], "not a URL with a host"),
        (["gopher://x/y"], "cannot read gopher://x/y"),
        (["sample", "--model", "r3d_17"], "no such model: r3d_17 (did you mean r3d_18?)"),
        (["sample", "--model", "imagenet", "--classes", "tabbi"], "has no class 'tabbi' (did you mean tabby"),
        (["sample", "--model", "imagenet", "--classes", "tabby"], "'tabby' is in the group 'cat': ask for that, or"),
        (["sample", "--model", "imagenet", "--group", "thing"], "no such groups: thing (use auto, none, things, or a"),
        (["sample", "--device", "cuda:99"], "no such device: cuda:99"),
        (["sample", "--precision", "fp8"], "precision: Input should be"),
        (["sample", "--engine", "stream", "--model", "swin3d_t", "--weights", "none"], "swin3d_t cannot be streamed"),
        (["sample", "--engine", "window", "--dense"], "dense is for the stream engine: leave out engine window"),
        (
            ["sample", "--model", "r3d_18", "--weights", "none", "--dense"],
            "r3d_18 runs in window: use --engine st",
        ),
        (
            ["sample", "--engine", "stream", "--model", "mc3_18", "--weights", "none", "--hop", "20"],
            "a hop of 20 leaves frames out of windows of 16, and mc3_18 as a stream needs every one",
        ),
        (["sample", "--bind", "tcp://0.0.0.0:5555"], "`streamcam keys new server` and add `--keys "),
        (["sample", "--bind", "5555"], "not an endpoint"),
        (["sample", "--record", "/no/such/folder/o.mp4"], "there is no folder /no/such/folder"),
        (["sample", "--record", "o.avi"], "ends in .mp4"),
        (["sample", "--save-heat", "o.h5"], "ends in .npz"),
        (["sample", "--weights", "no.pth"], "no such weights file"),
        (["sample", "--config", "no.yaml"], "cannot read no.yaml"),
        (["sample", "--hop", "x"], "Invalid value for '--hop'"),
        (["sample", "--modle", "x"], "No such option: --modle"),
        ([], "no source"),
        (["lavfi:no_such_filter"], "cannot open lavfi:no_such_filter"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path: Path, arguments: list[str], words: str) -> None:
    line = complaint("run", *arguments, cwd=tmp_path)
    assert words in line
    assert "hunter2" not in line
    assert not list(tmp_path.iterdir())


def test_an_output_never_takes_the_place_of_an_input_or_of_another(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(SAMPLE.read_bytes())
    before = clip.read_bytes()
    assert "is taken by clip.mp4" in complaint("run", "clip.mp4", "--record", "./clip.mp4", cwd=tmp_path)
    outputs = ["--record", "a.mp4", "--summary-json", "a.mp4"]
    assert "is taken by record" in complaint("run", "clip.mp4", *outputs, cwd=tmp_path)
    assert clip.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_as_fast_as_possible_is_for_files() -> None:
    assert "no such camera" in complaint("run", "0", *FAST) or not Path("/dev/video0").exists()


def test_an_endpoint_in_use_is_one_line(free_port: int) -> None:
    import zmq

    endpoint = f"tcp://127.0.0.1:{free_port}"
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.bind(endpoint)
        assert f"cannot bind {endpoint}: another program serves it" in complaint("run", "sample", "--bind", endpoint)


def test_a_file_with_no_video_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "no video stream" in complaint("run", str(path))


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
    for option, name in (("--record", "o.mp4"), ("--save-heat", "o.npz")):
        done = streamcam("run", "sample", *FAST, option, tmp_path / name, first=limit)
        assert done.returncode == 2, done.stderr
        assert f"cannot write {tmp_path / name}: File too large" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(tmp_path.iterdir())


def test_a_truncated_file_gives_what_decodes(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    with av.open(str(SAMPLE)) as source, av.open(str(whole), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    done = streamcam("run", str(cut), *FAST)
    assert done.returncode == 0, done.stderr
    frames = int(done.stdout.split()[0])
    assert 60 < frames < 240


def test_models_lists_every_model() -> None:
    done = streamcam("models")
    assert done.returncode == 0
    for name in ("imagenet", "r3d_18", "mc3_18", "r2plus1d_18"):
        assert name in done.stdout


def test_models_looks_into_a_model_or_a_checkpoint(tmp_path: Path) -> None:
    model, path = load_model("motion"), tmp_path / "mine.safetensors"
    save_checkpoint(
        model.with_spec(
            replace(model.spec, name="mine", architecture="motion", classes=("a", "b"), heat_scale=(1.0, 1.0))
        ),
        path,
    )
    done = streamcam("models", "--analyze", str(path))
    assert done.returncode == 0, done.stderr
    for words in ("mine", "17 frames, 1.13 s", "5 frames, 0.33 s", "yes: there is no padding in time"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--analyze", "r3d_1"], "no such model: r3d_1 (did you mean r3d_18?)"),
        (["--analyze", "mobilenet_v3_small", "--weights", "none"], "its head is not linear (use --engine window)"),
        (["--weights", "none"], "--weights is for --analyze NAME"),
    ],
)
def test_mistakes_in_looking_into_a_model_end_in_one_line(arguments: list[str], message: str) -> None:
    assert message in complaint("models", *arguments)


def test_doctor_looks_at_everything() -> None:
    done = streamcam("doctor")
    assert done.returncode == 0, done.stderr
    for what in ("torch", "GPU", "CPU", "cameras", "decoders", "--record", "display", "imagenet"):
        assert what in done.stdout


def test_no_command_shows_the_help() -> None:
    done = streamcam()
    assert done.returncode == 0
    assert "doctor" in done.stdout + done.stderr


def test_the_demo_takes_the_sample_and_a_file_where_there_is_neither_webcam_nor_display(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr("streamcam.cli.demo.WEBCAM", "/no/such/camera")
    filled = demo_options({"sources": None, "seconds": None}, configured=False, headless=False)
    shown = {"sources": ["sample"], "loop": True, "model": "imagenet-fast", "window": 4}
    assert filled == {**shown, "record": "demo.mp4", "seconds": 10.0}
    chosen = demo_options({"model": "motion"}, configured=False, headless=True)
    assert (chosen["model"], chosen.get("window")) == ("motion", None)
    given = demo_options({"sources": ["a.mp4"], "seconds": 3.0, "record": "x.mp4"}, configured=False, headless=True)
    assert given == {"sources": ["a.mp4"], "seconds": 3.0, "record": "x.mp4"}


def test_the_demo_opens_a_window_on_the_webcam_where_there_are_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    webcam = tmp_path / "video0"
    webcam.touch()
    monkeypatch.setattr("streamcam.cli.demo.WEBCAM", str(webcam))
    monkeypatch.setattr("streamcam.cli.demo.has_display", lambda: True)
    assert demo_options({}, configured=False, headless=False) == {"sources": [str(webcam)], "view": True}


def test_a_window_without_a_display_is_one_line(tmp_path: Path) -> None:
    done = streamcam("run", "sample", "--view", cwd=tmp_path, first="import os; os.environ.pop('DISPLAY', None)")
    assert "no display" in line_of(done)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("7", "no such camera: /dev/video7"),
        ("rtsp://u:hunter2@no-such-host.invalid/x", "unknown host 'no-such-host.invalid'"),
        ("rtsp://u:hunter2@127.0.0.1:9/x", "nobody listens there"),
    ],
)
def test_a_camera_that_is_not_there_is_waited_for_and_said_why(tmp_path: Path, source: str, words: str) -> None:
    done = streamcam("run", source, "--model", "imagenet-fast", "--bind", "none", "--seconds", "2.5", cwd=tmp_path)
    assert done.returncode == 0
    told = [line for line in done.stderr.splitlines() if words in line]
    assert len(told) == 1, done.stderr
    assert "; trying again after 0." in told[0]
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_a_password_in_the_wrong_place_of_a_config_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("sources:\n  - rtsp://user:hunter2@cam/live:\n      name: door\n")
    line = complaint("run", "--config", "c.yaml", cwd=tmp_path)
    assert "unknown key" in line
    assert "hunter2" not in line


def test_clips_are_recorded_and_learnt_from(tmp_path: Path) -> None:
    clips, run = tmp_path / "clips", tmp_path / "run"
    for label in ("cat", "cup"):
        options = ["--label", label, "-o", str(clips), "--count", "2", "--seconds", "0.5", "--pause", "1.1"]
        source = "sample" if label == "cat" else "lavfi:testsrc2=size=320x240:rate=30"
        done = streamcam("record", source, *options, "--no-window")
        assert done.returncode == 0, done.stderr
        assert [line for line in done.stderr.splitlines() if line.startswith("clip 2")] == [
            "clip 2 of 2: get ready, 2",
            "clip 2 of 2: get ready, 1",
            f"clip 2 of 2: recording {label!r}",
        ]
        assert done.stdout.startswith(f"2 clips of {label!r} in {clips / label}; when there are several classes: ")
        assert len(list((clips / label).glob("*.mp4"))) == 2
    options = ["--model", "mobilenet_v3_small", "--weights", "none", "--window", "2", "--epochs", "1", "--batch", "2"]
    done = streamcam("train", str(clips), "-o", str(run), *options)
    assert done.returncode == 0, done.stderr
    assert "2 classes, 2 clips for training + 2 for validation: cat 1 + 1, cup 1 + 1\n" in done.stderr
    assert "Validation is by file. Clips of one file are never on both sides; the same person may be.\n" in done.stderr
    assert "epoch 1 of 1" in done.stderr
    assert f"--model {run / 'best.safetensors'}" in done.stdout
    watched = ["--model", str(run / "best.safetensors"), "--bind", "none", "--as-fast-as-possible", "--max-frames", "8"]
    done = streamcam("run", "sample", *watched)
    assert done.returncode == 0, done.stderr
    assert "run on cpu" in done.stderr


def test_persons_are_kept_apart_or_that_is_refused(tmp_path: Path) -> None:
    record = ["--no-window", "-o", "clips", "--count", "1", "--seconds", "0.5", "--pause", "0"]
    train = ["--model", "mobilenet_v3_small", "--weights", "none", "--window", "2", "--epochs", "1", "--batch", "2"]
    for person in ("anna", "ben"):
        for label in ("cat", "cup"):
            source = f"lavfi:testsrc2=size=320x240:rate=30,hue=h={len(label + person) * ord(label[1])}"
            done = streamcam("record", source, "--label", label, "--person", person, *record, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        if person == "anna":
            line = complaint("train", "clips", "-o", "run", "--split-by", "person", *train, cwd=tmp_path)
            assert "cannot validate by person: all clips are of one person, anna: name the persons" in line
            assert not (tmp_path / "run").exists()
    done = streamcam("train", "clips", "-o", "run", *train, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^Validation is by person: (anna|ben) \(1 of 2\)\. No person is on both sides\.$", done.stderr, re.M
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_ended_recording_leaves_no_half_clip(number: signal.Signals, tmp_path: Path) -> None:
    options = ["--label", "wave", "-o", "clips", "--count", "1", "--seconds", "60", "--pause", "0", "--no-window"]
    with running("record", "lavfi:testsrc2=size=320x240:rate=30", *options, cwd=tmp_path) as command:
        folder = tmp_path / "clips" / "wave"
        end_s = time.monotonic() + 60
        while not any(path.stat().st_size > 20_000 for path in folder.glob("*.part.mp4")):
            assert time.monotonic() < end_s
            time.sleep(0.05)
        command.signal(number)
        done = command.ended()
    if number == signal.SIGTERM:
        assert done.returncode == 130
        assert not folder.exists()
    else:
        assert [path.name.endswith(".part.mp4") for path in folder.iterdir()] == [True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["record", "sample", "--label", "a/b"], "cannot name a class 'a/b'"),
        (["record", "sample", "--label", "a", "--person", "a/b"], "cannot name a person 'a/b'"),
        (["train", ".", "-o", "out", "--split-by", "people"], "split_by: "),
        (["record", "/dev/video99", "--label", "wave"], "no such camera"),
        (["train", "nowhere", "-o", "out"], "no such folder or CSV file: nowhere"),
        (["train", ".", "-o", "out", "--epochs", "-1"], "epochs: "),
        (["train", ".", "-o", "out", "--resume"], "nothing to go on from"),
    ],
)
def test_mistakes_in_training_end_in_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    assert message in complaint(*arguments, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
