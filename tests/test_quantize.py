"""int8 from a camera's own frames: a checkpoint like any other, and heat that still pools to the logits."""

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import FakeSource, make_frame

from streamcam.cli import app
from streamcam.engines import make_engine, make_runner
from streamcam.errors import StreamcamError
from streamcam.models import CamModel, load_model
from streamcam.models.base import Int8
from streamcam.quantize import Fidelity, compare, gather, quantize_source, require_quantizing

pytestmark = pytest.mark.skipif(
    find_spec("openvino") is None or find_spec("nncf") is None, reason="needs the extra openvino"
)


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
    assert (engine.runner.device_name, engine.runner.precision, engine.name) == ("openvino", "int8", "window")
    for options in ({"device": "cpu"}, {"precision": "fp32", "device": "cpu"}):
        assert make_runner(model, **options).device_name == "cpu"  # its weights in float32 are there as well
    assert model.weights_hash == original.weights_hash


def test_the_heat_pools_to_the_logits_in_int8(made: tuple[Path, Fidelity]) -> None:
    model = load_model(str(made[0]))
    output = make_runner(model, precision="int8", device="openvino").run([noise(model)])
    torch.testing.assert_close(output.cube.mean((2, 3, 4)) + model.bias, output.logits, atol=1e-4, rtol=1e-5)


def test_int8_takes_windows_of_other_lengths(made: tuple[Path, Fidelity]) -> None:
    model = load_model(str(made[0]))
    shorter = model.with_spec(replace(model.spec, clip_format=replace(model.spec.clip_format, length=20)))
    assert make_runner(shorter).run([noise(shorter)]).cube.shape[2] == 4
    assert compare(shorter, [noise(shorter)]).heat_cosine > 0.9


def test_a_quantised_model_with_a_part_that_is_broken_is_one_clear_error(made: tuple[Path, Fidelity]) -> None:
    model = load_model(str(made[0]))
    assert model.int8 is not None
    model.int8 = Int8(model.int8.graph[:500], model.int8.weights)
    with pytest.raises(StreamcamError, match="cannot be used in int8"):
        make_runner(model)


def test_int8_without_quantising_says_how_to(tiny: CamModel) -> None:
    with pytest.raises(StreamcamError, match="streamcam quantize SOURCE --model tiny"):
        make_runner(tiny, device="openvino", precision="int8")
    with pytest.raises(StreamcamError, match="int8 needs --device openvino"):
        make_runner(tiny, device="cpu", precision="int8")


def test_a_third_as_many_clips_are_held_out_and_none_shares_a_frame(tiny: CamModel) -> None:
    source, seen = FakeSource([make_frame(i) for i in range(1000)]), []
    learnt, held = gather(source, tiny, count=9, show=lambda done, total: seen.append((done, total)))
    assert (len(learnt), len(held)) == (9, 3)
    frames = [frame.tobytes() for clip in (*learnt, *held) for frame in clip]
    assert len(set(frames)) == len(frames) == 12 * 4
    assert seen[-1] == (12, 12)


@pytest.mark.parametrize(("frames", "expected"), [(9, (1, 1)), (13, (2, 1)), (17, (3, 1)), (21, (4, 1))])
def test_a_source_that_ends_gives_what_it_has(tiny: CamModel, frames: int, expected: tuple[int, int]) -> None:
    learnt, held = gather(FakeSource([make_frame(i) for i in range(frames)]), tiny, count=99, show=quiet)
    assert (len(learnt), len(held)) == expected


@pytest.mark.parametrize("frames", [0, 5])
def test_a_source_that_is_too_short_is_one_clear_error(tiny: CamModel, frames: int) -> None:
    with pytest.raises(StreamcamError, match=r"cam ended too soon: tiny needs 0\.8 s"):
        gather(FakeSource([make_frame(i) for i in range(frames)]), tiny, count=9, show=quiet)


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
    monkeypatch.setattr("streamcam.quantize.find_spec", lambda name: None)
    with pytest.raises(StreamcamError, match=r"pip install 'streamcam\[openvino\]'"):
        require_quantizing(tmp_path / "a.safetensors", force=False)


def test_the_command_says_how_far_it_is_and_how_to_see_it(
    made: tuple[Path, Fidelity], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def copy_it(uri: str, path: Path, **options: object) -> Fidelity:
        assert (uri, options["model"], options["count"]) == ("sample", "motion", 2)
        shutil.copy(made[0], path)
        return made[1]

    monkeypatch.setattr("streamcam.quantize.quantize_source", copy_it)
    out = tmp_path / "desk.safetensors"
    app(["quantize", "sample", "-o", str(out), "--model", "motion", "--clips", "2"], standalone_mode=False)
    told = capsys.readouterr().out
    assert "int8 against float32 on 1 other clips" in told
    assert f"streamcam run 0 --model {out}" in told
