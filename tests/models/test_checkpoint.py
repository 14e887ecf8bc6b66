"""Checkpoints: a written one is read back the same, and a damaged one gives one line."""

import hashlib
import json
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from streamcam.cli.output.analysis import analyze_and_print
from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.models.checkpoint import card_path, read_card
from streamcam.models.registry import find_spec, load_model, save_checkpoint
from streamcam.models.weights import load_state

CLASSES = ("wave", "nod", "still")


@pytest.fixture(scope="module")
def model() -> CamModel:
    """A torchvision network with other classes, clips and heat scales."""
    torch.manual_seed(0)
    plain = load_model("resnet18", weights="none")
    clip_format = replace(plain.spec.clip_format, length=8, resize=(72, 96), crop=(64, 64), shapes=())
    spec = replace(
        plain.spec, name="gestures", architecture="resnet18", classes=CLASSES, clip_format=clip_format,
        multi_label=True, heat_scale=(1.0, 2.0, 3.5),
    )  # fmt: skip
    return plain.with_spec(spec)


@pytest.fixture(scope="module")
def saved(model: CamModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    save_checkpoint(
        model, path, metrics={"accuracy": 0.9}, licence="CC0-1.0", data_hash="0123", about="Made for a test."
    )
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A copy of a checkpoint, for the test to damage."""
    for file in (saved, card_path(saved)):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / saved.name


def spoil(path: Path, **keys: object) -> None:
    card = json.loads(card_path(path).read_text())
    card_path(path).write_text(json.dumps(card | keys))


def test_a_checkpoint_comes_back_as_it_was_written(model: CamModel, saved: Path) -> None:
    loaded = load_model(str(saved))
    frames = np.random.default_rng(0).integers(0, 255, (4, 90, 120, 3), dtype=np.uint8)
    sent, got = model.explain(frames), loaded.explain(frames)
    np.testing.assert_array_equal(sent.cube, got.cube)
    np.testing.assert_array_equal(sent.logits, got.logits)
    np.testing.assert_array_equal(got.scale, [1.0, 2.0, 3.5])
    assert got.labels == CLASSES
    assert loaded.weights_hash == model.weights_hash
    assert loaded.spec.clip_format == model.spec.clip_format
    assert loaded.spec.multi_label


def test_a_loaded_checkpoint_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    assert save_checkpoint(load_model(str(saved)), again).architecture == "resnet18"
    assert again.read_bytes() == saved.read_bytes()


def test_a_model_card_says_what_a_person_wants_to_know(saved: Path) -> None:
    card = read_card(saved)
    assert (card.name, card.architecture, card.classes) == ("gestures", "resnet18", list(CLASSES))
    assert (card.metrics, card.licence, card.data_hash) == ({"accuracy": 0.9}, "CC0-1.0", "0123")
    assert find_spec(str(saved)).summary == "Made for a test."


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v3_small", "convnext_tiny", "r3d_18", "s3d", "swin3d_t"])
def test_every_kind_of_head_takes_other_classes_and_stays_exact(name: str) -> None:
    torch.manual_seed(0)
    plain = load_model(name, weights="none")
    model = plain.with_spec(replace(plain.spec, classes=CLASSES))
    length = 1 if plain.spec.framewise else 16
    with torch.no_grad():
        output = model(torch.randn(1, 3, length, 64, 64))
    pooled = sum(cube.mean((2, 3, 4)) for cube in output.cubes) + output.bias
    assert output.logits.shape == (1, 3)
    torch.testing.assert_close(output.logits, pooled, atol=1e-4, rtol=1e-4)


def test_no_such_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match=r"no such checkpoint: .*none\.safetensors"):
        load_model(str(tmp_path / "none.safetensors"))


def test_weights_without_their_model_card(copy: Path) -> None:
    card_path(copy).unlink()
    with pytest.raises(StreamcamError, match=r"best\.json belongs beside it"):
        load_model(str(copy))


def test_a_model_card_beside_other_weights(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-1] + b"\x00")
    with pytest.raises(StreamcamError, match=r"is not the file that best\.json speaks of"):
        load_model(str(copy))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"architecture": "resnet9000"}, "resnet9000, which this version does not have"),
        ({"architecture": "resnet34"}, "not those of resnet34"),
        ({"classes": ["wave", "wave", "nod"]}, "two classes have the same name"),
        ({"classes": ["wave", "\x1b[2Jnod", "still"]}, r"classes\.1"),
        ({"classes": []}, "classes"),
        ({"heat_scale": [1.0]}, "expected 3 heat scales"),
        ({"heat_scale": [1.0, -1.0, 2.0]}, r"heat_scale\.1"),
        ({"format": "streamcam-checkpoint/2"}, "format"),
        ({"colour": "red"}, "colour"),
        ({"clip": {}}, r"clip\.length"),
        ({"weights_sha256": "0"}, "weights_sha256"),
    ],
)
def test_a_model_card_that_is_wrong_says_where(copy: Path, keys: dict[str, object], message: str) -> None:
    spoil(copy, **keys)
    with pytest.raises(StreamcamError, match=message) as caught:
        load_model(str(copy))
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"about": "fine\n\x1b]0;title\x07"},
        {"licence": "\u202eevil"},
        {"name": "one\ntwo"},
        {"architecture": "../../../etc/passwd"},
        {"\x1b[2J": 1},
        {"metrics": {"\x1b[31m": 1.0}},
        {"classes": ["x" * 101, "b", "c"]},
        {"classes": [str(i) for i in range(100_001)]},
        {"heat_scale": [1e999, 1.0, 1.0]},
    ],
)
def test_a_model_card_with_hostile_text_is_refused_and_none_of_it_reaches_a_terminal(
    copy: Path, keys: dict[str, object]
) -> None:
    spoil(copy, **keys)
    with pytest.raises(StreamcamError) as caught:
        load_model(str(copy))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_markup_in_a_name_is_shown_and_not_obeyed(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(copy, name="[/][red]wave[/red]", classes=["[bold]a", "[/]", "c"])
    analyze_and_print(str(copy), weights=None)
    assert "[/][red]wave[/red]" in capsys.readouterr().out


def header(tensors: object, *, length: int | None = None, data: bytes = b"") -> bytes:
    text = json.dumps(tensors).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


F32 = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x02",
        header({"a": F32}),
        header({"a": F32}, data=bytes(15)),
        header({"a": F32}, data=bytes(17)),
        header({"a": F32}, length=2**63, data=bytes(16)),
        header({"a": F32}, length=90_000_000, data=bytes(16)),
        header({"a": F32 | {"shape": [2**31, 2**31]}}, data=bytes(16)),
        header({"a": F32 | {"shape": [2**62, 4], "data_offsets": [0, 2**63]}}, data=bytes(16)),
        header({"a": F32 | {"data_offsets": [16, 0]}}, data=bytes(16)),
        header({"a": F32 | {"dtype": "O"}}, data=bytes(16)),
        header({"a": F32, "b": F32}, data=bytes(16)),
        header({"\x1b[2J": F32}, data=b"\xff" * 16),
        (9 << 20).to_bytes(8, "little") + b" " * (9 << 20),
        b"\x40\x9c\0\0\0\0\0\0" + b"[" * 40_000,
    ],
)
def test_weights_that_lie_about_themselves_are_refused_and_take_nothing(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StreamcamError) as caught:
        load_state(str(path))
    assert str(caught.value).isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def test_a_checkpoint_that_is_cut_off_is_refused_also_where_its_model_card_agrees(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-1000])
    spoil(copy, weights_sha256=hashlib.sha256(copy.read_bytes()).hexdigest())
    with pytest.raises(StreamcamError, match="cannot read weights"):
        load_model(str(copy))


def test_weights_that_are_not_finite_are_refused(copy: Path) -> None:
    state = load_state(str(copy))
    next(tensor for tensor in state.values() if tensor.is_floating_point()).view(-1)[0] = float("nan")
    save_file(state, copy)
    spoil(copy, weights_sha256=hashlib.sha256(copy.read_bytes()).hexdigest())
    with pytest.raises(StreamcamError, match="not finite"):
        load_model(str(copy))


def test_a_clip_that_cannot_be_cropped(copy: Path) -> None:
    clip = json.loads(card_path(copy).read_text())["clip"]
    spoil(copy, clip=clip | {"crop": [999, 999]})
    with pytest.raises(StreamcamError, match="a crop that fits into resize"):
        load_model(str(copy))


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_is_in_a_model_card_ends_in_one_line(saved: Path, content: bytes) -> None:
    path = saved.with_name("other.safetensors")
    path.write_bytes(b"")
    card_path(path).write_bytes(content)
    with pytest.raises(StreamcamError, match="other"):
        read_card(path)


def test_an_enormous_model_card_is_not_read(copy: Path) -> None:
    card_path(copy).write_bytes(b" " * (9 << 20))
    with pytest.raises(StreamcamError, match="at most 8 MiB"):
        read_card(copy)


def test_a_checkpoint_has_weights_of_its_own(saved: Path) -> None:
    with pytest.raises(StreamcamError, match="leave out --weights"):
        load_model(str(saved), weights="none")


def test_nothing_is_left_where_nothing_can_be_written(model: CamModel, tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match="cannot write"):
        save_checkpoint(model, tmp_path / "nowhere" / "best.safetensors")
    with pytest.raises(ValueError, match="nonsense"):
        save_checkpoint(model, tmp_path / "best.safetensors", nonsense=1)
    assert list(tmp_path.iterdir()) == []


def test_a_training_scripts_own_file_is_read_without_pickle(tmp_path: Path) -> None:
    network = load_model("resnet18", weights="none")
    from torchvision.models import resnet18

    module: nn.Module = resnet18()
    torch.save({"model": module.state_dict(), "epoch": 3}, tmp_path / "last.pth")
    loaded = load_model("resnet18", weights=str(tmp_path / "last.pth"))
    x = torch.randn(1, 3, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x).logits, module.eval()(x[:, :, 0]), atol=1e-4, rtol=1e-4)
    assert loaded.weights_hash != network.weights_hash
