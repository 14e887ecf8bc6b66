"""Quantise to int8: the checkpoint is like any other, and its heat still pools to the logits."""

import json
import shutil
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
from torch import nn

from streamcam.cli.main import app
from streamcam.clips import SlidingWindow
from streamcam.engines.backends import make_engine, make_runner
from streamcam.engines.stream_engine import StreamEngine
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel, Int8, ModelSpec, Stored
from streamcam.models.head import Head
from streamcam.models.registry import load_model
from streamcam.records import Frame, HeatSlice
from streamcam.sources.base import open_source
from streamcam.train.fidelity import Fidelity, measure_fidelity, to_and_fro
from streamcam.train.quantize import quantize, quantize_source, read_clips, require_quantizing
from tests.support.frames import FakeSource, make_frame

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("openvino") is None or find_spec("nncf") is None, reason="needs the extra openvino"),
]


def quiet(_done: float, _total: float | None) -> None: ...


def noise(model: CamModel) -> np.ndarray:
    clip_format = model.spec.clip_format
    return np.random.default_rng(0).integers(0, 255, (clip_format.length, 3, *clip_format.crop), dtype=np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fidelity]:
    """`motion`, quantised with the sample."""
    path = tmp_path_factory.mktemp("int8") / "desk.safetensors"
    return path, quantize_source("sample", path, model="motion", weights=None, count=2, show=quiet)


def test_int8_is_close_to_float32_on_clips_that_it_was_not_given(made: tuple[Path, Fidelity]) -> None:
    _, fidelity = made
    assert fidelity.clips == 1
    assert fidelity.heat_cosine > 0.98
    assert fidelity.logit_error < 0.1


def test_the_result_is_a_checkpoint_that_runs_in_int8_where_nothing_else_is_asked_for(
    made: tuple[Path, Fidelity],
) -> None:
    path, fidelity = made
    assert sorted(p.name for p in path.parent.iterdir()) == ["desk.json", "desk.safetensors"]
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["metrics"]["int8_heat_cosine"] == pytest.approx(fidelity.heat_cosine)
    assert "sample" in card["about"]
    model, original = load_model(str(path)), load_model("motion")
    engine = make_engine(model)
    assert (engine.runner.device_name, engine.runner.precision, engine.name) == ("openvino", "int8", "stream")
    for options in ({"device": "cpu"}, {"precision": "fp32", "device": "cpu"}):
        assert make_runner(model, **options).device_name == "cpu"  # its weights in float32 are there as well
    assert model.weights_hash == original.weights_hash


def test_the_heat_pools_to_the_logits_in_int8(made: tuple[Path, Fidelity]) -> None:
    model = load_model(str(made[0]))
    output = make_runner(model, precision="int8", backend="openvino").run([noise(model)])
    torch.testing.assert_close(output.cube.mean((2, 3, 4)) + model.bias, output.logits, atol=1e-4, rtol=1e-5)


def test_int8_takes_windows_of_other_lengths(made: tuple[Path, Fidelity]) -> None:
    model = load_model(str(made[0]))
    shorter = model.with_spec(replace(model.spec, clip_format=replace(model.spec.clip_format, length=20)))
    assert make_runner(shorter).run([noise(shorter)]).cube.shape[2] == 4
    assert measure_fidelity(shorter, [noise(shorter)]).heat_cosine > 0.9


def test_a_quantised_model_with_a_part_that_is_broken_is_one_clear_error(made: tuple[Path, Fidelity]) -> None:
    model = load_model(str(made[0]))
    assert model.int8 is not None
    model.int8 = Int8(*(Stored(part.graph[:500], part.weights) for part in (model.int8.whole, steps_of(model))))
    for name in ("window", "stream"):
        with pytest.raises(StreamcamError, match="cannot be used in int8 as it is: quantize it again"):
            make_engine(model, name=name)


def steps_of(model: CamModel) -> Stored:
    assert model.int8 is not None
    assert model.int8.steps is not None
    return model.int8.steps


class Block(nn.Module):
    """A residual block of a ResNet: two convolutions, and a shortcut past them."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *(nn.Conv3d(into, out, 3, stride, 1, bias=False), nn.BatchNorm3d(out), nn.ReLU()),
            *(nn.Conv3d(out, out, 3, 1, 1, bias=False), nn.BatchNorm3d(out)),
        )
        self.past = nn.Conv3d(into, out, 1, stride, bias=False) if stride > 1 else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.relu(self.main(x) + self.past(x))
        return result


def unquantised_resnet() -> CamModel:
    """Build a network like r3d_18, padded and strided in time. Its clips have 8 frames, and a slice sees 21."""
    torch.manual_seed(0)
    stem = (nn.Conv3d(3, 16, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False), nn.BatchNorm3d(16), nn.ReLU())
    features = nn.Sequential(*stem, Block(16, 16, 1), Block(16, 32, 2), Block(32, 32, 1))
    clip_format = replace(load_model("motion").spec.clip_format, length=8, resize=(48, 64), crop=(48, 48))
    spec = ModelSpec("resnet", "a test", tuple("abcde"), clip_format, framewise=False, temporal_stride=2)
    return CamModel(spec, features, Head([nn.Linear(32, 5)]))


@pytest.fixture(scope="module")
def resnet() -> CamModel:
    """A quantised network whose clips are shorter than its receptive field."""
    model = unquantised_resnet()
    with closing(open_source("sample", paced=False)) as source:
        source.open()
        calibration, _ = read_clips(source, model, count=6, show=quiet)
    model.int8 = quantize(model, calibration, show=quiet)
    return model


def footage(model: CamModel, *, count: int, source: str = "cam") -> list[Frame]:
    """Return the sample's frames, as if they had been taken at the model's rate."""
    taken: list[Frame] = []
    with closing(open_source("sample", paced=False)) as sample:
        for frame in sample.frames(Event()):
            taken.append(replace(frame, source=source, index=len(taken), pts_s=len(taken) / model.spec.clip_format.fps))
            if len(taken) == count:
                break
    assert len(taken) == count
    return taken


def streams_of(model: CamModel) -> dict[str, StreamEngine]:
    found = {}
    for backend, precision in (("openvino", "int8"), ("torch", "fp32")):
        engine = make_engine(model, name="stream", backend=backend, device="cpu", precision=precision)
        assert isinstance(engine, StreamEngine)
        found[precision] = engine
    return found


@pytest.fixture(scope="module", params=["motion", "resnet"])
def quantised(request: pytest.FixtureRequest) -> CamModel:
    if request.param == "motion":
        return load_model(str(request.getfixturevalue("made")[0]))
    model: CamModel = request.getfixturevalue("resnet")
    return model


def centred_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cosine between the centred heat of two cubes [C,…]."""
    x, y = (part - part.mean(0) for part in (a, b))
    return float((x * y).sum() / np.linalg.norm(x) / np.linalg.norm(y))


def test_a_stream_in_int8_pools_to_its_logits_and_is_close_to_float32(quantised: CamModel) -> None:
    """Also at the end of the video, which PyTorch computes from the state that OpenVINO left."""
    engines, frames = streams_of(quantised), footage(quantised, count=90)
    made = {precision: engine.push(frames) + engine.flush("cam") for precision, engine in engines.items()}
    assert [s.pts_s for s in made["int8"]] == [s.pts_s for s in made["fp32"]]
    for s in made["int8"]:
        np.testing.assert_allclose(s.logits, quantised.bias.numpy() + s.cube.mean((1, 2)), atol=1e-4)
    ours, theirs = (np.stack([s.cube for s in made[precision]], axis=1) for precision in ("int8", "fp32"))
    assert not np.array_equal(ours[:, 1], theirs[:, 1])
    cosine = centred_cosine(ours, theirs)
    logits, expected = (np.stack([s.logits for s in made[precision]]) for precision in ("int8", "fp32"))
    error = np.abs(logits - expected).max() / np.abs(expected).max()
    same = (logits.argmax(1) == expected.argmax(1)).mean()
    assert cosine > 0.98
    assert error < 0.1
    assert same > 0.85


def test_in_int8_two_cameras_in_any_pieces_are_each_as_if_alone_and_whole(quantised: CamModel) -> None:
    engine = streams_of(quantised)["int8"]
    videos = {"a": footage(quantised, count=70, source="a"), "b": footage(quantised, count=90, source="b")[::-1][:70]}
    videos["b"] = [replace(frame, index=i, pts_s=videos["a"][i].pts_s) for i, frame in enumerate(videos["b"])]
    alone = {c: engine.push(frames) + engine.flush(c) for c, frames in videos.items()}
    rng, at, got = np.random.default_rng(0), dict.fromkeys(videos, 0), {c: list[HeatSlice]() for c in videos}
    while min(at.values()) < 70:
        new = []
        for c, frames in videos.items():
            count = int(rng.integers(0, 8))
            new += frames[at[c] : at[c] + count]
            at[c] += count
        for s in engine.push(new):
            got[s.source].append(s)
    worst = 0.0
    for c, expected in alone.items():
        got[c] += engine.flush(c)
        assert [s.pts_s for s in got[c]] == [s.pts_s for s in expected]
        size = max(float(np.abs(s.cube).max()) for s in expected)
        worst = max(
            worst, *(float(np.abs(a.cube - b.cube).max()) / size for a, b in zip(got[c], expected, strict=True))
        )
    assert worst < 1e-3
    assert not np.allclose(alone["a"][-1].cube, alone["b"][-1].cube, atol=0.05)


def test_in_int8_both_engines_say_the_same_where_they_do_in_float32(made: tuple[Path, Fidelity]) -> None:
    """Each engine has ranges of its own, so the two differ as much as each differs from float32."""
    model = load_model(str(made[0]))
    engines = {name: make_engine(model, name=name, classes=range(15)) for name in ("window", "stream")}
    window, cosines = SlidingWindow(model.spec.clip_format, hop=8, head_start=True), []
    for frame in footage(model, count=120):
        clip = window.push(frame)
        if clip is None:
            continue
        (streamed,) = engines["stream"].infer([clip])
        if clip.full:
            (whole,) = engines["window"].infer([clip])
            assert whole is not None
            assert streamed is not None
            assert streamed.pts_s == pytest.approx(whole.pts_s)
            assert np.abs(streamed.logits - whole.logits).max() < 0.1 * np.abs(whole.logits).max()
            cosines.append(centred_cosine(streamed.cube, whole.cube))
    assert len(cosines) > 3
    assert np.mean(cosines) > 0.98


def test_in_int8_a_stream_takes_pictures_of_another_size(made: tuple[Path, Fidelity]) -> None:
    model = load_model(str(made[0]))
    smaller = replace(model.spec.clip_format, resize=(72, 96), crop=(64, 64))
    engines = streams_of(model.with_spec(replace(model.spec, clip_format=smaller)))
    frames = footage(model, count=40)
    ours, theirs = (np.stack([s.cube for s in engine.push(frames)], axis=1) for engine in engines.values())
    assert ours.shape[2:] == (16, 16)
    assert centred_cosine(ours, theirs) > 0.95


def test_what_was_quantised_for_whole_clips_alone_says_so(made: tuple[Path, Fidelity]) -> None:
    model = load_model(str(made[0]))
    assert model.int8 is not None
    model.int8 = Int8(model.int8.whole)
    with pytest.raises(
        StreamcamError, match="for whole clips alone: use --engine window, or --precision bf16 to stream"
    ):
        make_engine(model, name="stream")
    assert make_engine(model).name == "window"
    assert make_engine(model, name="stream", backend="openvino", precision="fp32").name == "stream"


def test_what_was_quantised_of_another_network_is_one_clear_error(
    made: tuple[Path, Fidelity], resnet: CamModel
) -> None:
    model = load_model(str(made[0]))
    assert model.int8 is not None
    model.int8 = Int8(model.int8.whole, steps_of(resnet))
    with pytest.raises(StreamcamError, match="motion cannot be used in int8 as it is: quantize it again"):
        make_engine(model, name="stream")


def test_in_int8_a_network_that_strides_is_not_dense_and_says_so(resnet: CamModel) -> None:
    with pytest.raises(StreamcamError, match="in int8, resnet gives a slice for every 2 frames: leave out dense"):
        make_engine(resnet, name="stream", dense=True)


@pytest.mark.parametrize(("length", "expected"), [(1, [0] * 7), (2, [0, 1, 0, 1, 0, 1, 0]), (4, [0, 1, 2, 3, 2, 1, 0])])
def test_a_clip_goes_to_and_fro_until_it_is_long_enough(length: int, expected: list[int]) -> None:
    frames = np.arange(length, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 2, 2), np.uint8)
    assert to_and_fro(frames, 7)[:, 0, 0, 0].tolist() == expected


def test_int8_without_quantising_says_how_to(tiny: CamModel) -> None:
    with pytest.raises(StreamcamError, match="streamcam quantize SOURCE --model tiny"):
        make_runner(tiny, backend="openvino", precision="int8")
    with pytest.raises(StreamcamError, match="int8 needs --backend openvino"):
        make_runner(tiny, device="cpu", precision="int8")


def test_a_third_as_many_clips_are_held_out_and_none_shares_a_frame(tiny: CamModel) -> None:
    source, progress = FakeSource([make_frame(i) for i in range(1000)]), []
    calibration, held_out = read_clips(source, tiny, count=9, show=lambda done, total: progress.append((done, total)))
    assert (len(calibration), len(held_out)) == (9, 3)
    frames = [frame.tobytes() for clip in (*calibration, *held_out) for frame in clip]
    assert len(set(frames)) == len(frames) == 12 * 4
    assert progress[-1] == (12, 12)


@pytest.mark.parametrize(("frames", "expected"), [(9, (1, 1)), (13, (2, 1)), (17, (3, 1)), (21, (4, 1))])
def test_a_source_that_ends_gives_what_it_has(tiny: CamModel, frames: int, expected: tuple[int, int]) -> None:
    calibration, held_out = read_clips(FakeSource([make_frame(i) for i in range(frames)]), tiny, count=99, show=quiet)
    assert (len(calibration), len(held_out)) == expected


@pytest.mark.parametrize("frames", [0, 5])
def test_a_source_that_is_too_short_is_one_clear_error(tiny: CamModel, frames: int) -> None:
    with pytest.raises(StreamcamError, match=r"cam ended too soon: tiny needs 0\.8 s"):
        read_clips(FakeSource([make_frame(i) for i in range(frames)]), tiny, count=9, show=quiet)


def test_nothing_is_overwritten_unless_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "desk.safetensors"
    require_quantizing(path, force=False)
    path.with_suffix(".json").touch()
    with pytest.raises(StreamcamError, match=r"desk\.json is there already: .*--force"):
        require_quantizing(path, force=False)
    require_quantizing(path, force=True)


@pytest.mark.parametrize(("name", "message"), [("desk.xml", "ends in .safetensors"), ("no/a.safetensors", "no folder")])
def test_a_name_that_will_not_do_is_found_at_once(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(StreamcamError, match=message):
        require_quantizing(tmp_path / name, force=False)


def test_without_nncf_one_line_names_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("streamcam.train.quantize.find_spec", lambda name: None)
    with pytest.raises(StreamcamError, match=r"pip install 'streamcam\[quantize\]'"):
        require_quantizing(tmp_path / "a.safetensors", force=False)


def test_the_command_says_how_far_it_is_and_how_to_see_it(
    made: tuple[Path, Fidelity], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def copy_it(uri: str, path: Path, **options: object) -> Fidelity:
        assert (uri, options["model"], options["count"]) == ("sample", "motion", 2)
        shutil.copy(made[0], path)
        return made[1]

    monkeypatch.setattr("streamcam.train.quantize.quantize_source", copy_it)
    out = tmp_path / "desk.safetensors"
    app(["quantize", "sample", "-o", str(out), "--model", "motion", "--clips", "2"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "int8 against float32 on 1 other clips" in printed
    assert f"streamcam run 0 --model {out}" in printed
