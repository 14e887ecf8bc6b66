"""Train small networks, resume runs at any step, and refuse bad data."""

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import streamcam.train.fit
import streamcam.train.loop
from streamcam.config.load import make_train_config
from streamcam.config.train import TrainConfig
from streamcam.errors import StreamcamError
from streamcam.models.base import ModelEntry
from streamcam.models.registry import MODELS, load_model
from streamcam.render.contact_sheet import Cell
from streamcam.train.clips import BalancedSampler, ClipDataset, ValidationSampler, read_frames
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.dataset import read_dataset
from streamcam.train.explained import explain
from streamcam.train.fit import BEST, STATE, TrainingResult, train
from streamcam.train.metrics import EpochMetrics, average_precision, score_of
from streamcam.train.optimizer import BACKBONE_RATE, WEIGHT_DECAY, feature_scale, new_optimizer
from streamcam.train.report.figures import write_sheet
from tests.support.train_small import FORMAT, SMALL, build_small
from tests.support.write_clip import write_clip

Run = tuple[TrainingResult, "Silent"]
COLOURS = {"red": (230, 30, 30), "blue": (30, 30, 230)}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "small", ModelEntry(SMALL, build_small))


def picture(number: int, i: int, colour: tuple[int, int, int]) -> np.ndarray:
    """Draw a coloured square on noise that moves right with i; its corner is at (4 + i, 8 + number % 8)."""
    image = np.random.default_rng(number).integers(60, 160, (36, 48, 3), dtype=np.uint8)
    y, x = 8 + number % 8, 4 + i
    image[y : y + 14, x : x + 14] = colour
    return image


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips of 0.8 s for each of two colours."""
    folder = tmp_path_factory.mktemp("clips")
    for name, colour in COLOURS.items():
        for number in range(8):
            write_clip(folder / name / f"{number}.mp4", [picture(number, i, colour) for i in range(8)])
    return folder


class Silent:
    """A display that records the losses, and may interrupt the run."""

    def __init__(self, *, dies_after: int | None = None) -> None:
        self.losses: list[float] = []
        self.epochs: list[EpochMetrics] = []
        self._dies_after = dies_after

    def look_at(self, done: int, count: int) -> None:
        pass

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:
        self.losses.append(loss)
        if done == self._dies_after:
            raise KeyboardInterrupt

    def epoch(self, epoch: EpochMetrics, *, best: bool) -> None:
        self.epochs.append(epoch)


def config_of(data: Path, out: Path, **options: object) -> TrainConfig:
    plain = {"data": data, "out": out, "model": "small", "workers": 0, "batch": 4, "epochs": 2, "precision": "fp32"}
    return TrainConfig.model_validate(plain | {"background": False} | options)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that learns to tell the two colours apart, and its losses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "small", ModelEntry(SMALL, build_small))
        show = Silent()
        out = tmp_path_factory.mktemp("runs") / "colours"
        options = {"epochs": 12, "learning_rate": 0.05, "weights": "none"}
        return train(config_of(data, out, **options), show=show), show


def test_it_learns_and_the_heat_lies_on_what_it_has_learnt(data: Path, trained: Run) -> None:
    result, show = trained
    assert result.score == 1.0
    assert show.losses[-1] < 0.5 * show.losses[0]
    model = load_model(str(result.checkpoint))
    assert model.classes == ("blue", "red")
    for label, name in enumerate(model.classes):
        clip = LabelledClip(data / name / "3.mp4", 0.0, 0.8, (label,))
        _, heat = explain(model, clip)
        assert heat.scores.argmax() == label
        _, y, x = np.unravel_index(heat.centred[label].argmax(), heat.centred[label].shape)
        assert 11 - 2 <= 2 * y + 2 <= 25 - 2 + 2  # the square, in the crop that begins 2 pixels down and 8 to the right
        assert -4 <= 2 * x <= 20


def test_a_run_leaves_its_card_figures_and_pictures(trained: Run) -> None:
    out = trained[0].checkpoint.parent
    card = json.loads((out / "best.json").read_text())
    assert card["name"] == "colours"
    assert card["architecture"] == "small"
    assert card["metrics"]["score"] == 1.0
    assert len(card["heat_scale"]) == 2
    with (out / "metrics.csv").open() as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(1, 13))
    assert {p.name for p in out.iterdir()} == {
        *("best.safetensors", "best.json", "last.pt"),
        *("metrics.csv", "curves.png", "confusion.png", "heat.png", "report.html"),
    }


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamcam.train.loop, "SAVE_EVERY_S", 0.0)
    whole, first, second = Silent(), Silent(dies_after=4), Silent()
    train(config_of(data, tmp_path / "whole"), show=whole)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(data, tmp_path / "parts"), show=first)
    train(config_of(data, tmp_path / "parts", resume=True), show=second)
    # What was not saved when it died is done again: here the step that it died in.
    assert first.losses[:3] + second.losses == whole.losses
    assert [e.train_loss for e in second.epochs] == [e.train_loss for e in whole.epochs[-len(second.epochs) :]]
    assert (tmp_path / "parts" / BEST).read_bytes() == (tmp_path / "whole" / BEST).read_bytes()


def small_run(data: Path, out: Path, **options: object) -> list[str]:
    """Return the arguments for Python that train `small`."""
    return ["-m", "tests.support.train_small", json.dumps({"data": str(data), "out": str(out)} | options)]


@pytest.mark.slow
def test_a_process_that_was_killed_at_once_leaves_what_another_goes_on_from(data: Path, tmp_path: Path) -> None:
    run = small_run(data, tmp_path / "parts", workers=2, epochs=3)
    with subprocess.Popen(
        [sys.executable, *run], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as killed:
        assert killed.stdout is not None
        printed = list(takewhile(lambda line: not line.startswith("step 2"), killed.stdout))
        killed.kill()
    assert [line.split()[:2] for line in printed] == [["epoch", "0"], ["step", "1"]]
    whole, rest = Silent(), Silent()
    train(config_of(data, tmp_path / "whole", epochs=3, device="cpu"), show=whole)
    train(config_of(data, tmp_path / "parts", epochs=3, device="cpu", resume=True), show=rest)
    assert 0 < len(rest.losses) < len(whole.losses)
    assert rest.losses == whole.losses[-len(rest.losses) :]
    assert (tmp_path / "parts" / BEST).read_bytes() == (tmp_path / "whole" / BEST).read_bytes()


def test_a_run_is_gone_on_with_only_for_the_same_data_and_options(data: Path, tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match="nothing to go on from"):
        train(config_of(data, tmp_path / "x", resume=True), show=Silent())
    with pytest.raises(KeyboardInterrupt):
        train(config_of(data, tmp_path / "x"), show=Silent(dies_after=4))
    with pytest.raises(StreamcamError, match="other data or options"):
        train(config_of(data, tmp_path / "x", resume=True, learning_rate=0.5), show=Silent())
    (tmp_path / "x" / STATE).write_bytes(b"nonsense")
    with pytest.raises(StreamcamError, match="damaged"):
        train(config_of(data, tmp_path / "x", resume=True), show=Silent())


def test_a_frozen_backbone_stays_as_it_was(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = build_small("none").features.state_dict()
    train(config_of(data, tmp_path / "x", freeze=True, epochs=1), show=Silent())
    after = load_model(str(tmp_path / "x" / BEST)).features.state_dict()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0)


def test_several_labels_for_one_clip(data: Path, tmp_path: Path) -> None:
    rows = ["path,start,end,label"]
    for name in COLOURS:
        rows += [f"{data}/{name}/{i}.mp4,0,0.8,{label}" for i in range(8) for label in (name, "moving right")]
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    train(config_of(tmp_path / "clips.csv", tmp_path / "x", multi_label=True, epochs=1), show=Silent())
    model = load_model(str(tmp_path / "x" / BEST))
    assert model.classes == ("blue", "moving right", "red")
    assert model.spec.multi_label


def test_nothing_is_overwritten_unless_forced(data: Path, trained: Run, tmp_path: Path) -> None:
    out = trained[0].checkpoint.parent
    before = trained[0].checkpoint.read_bytes()
    with pytest.raises(StreamcamError, match="--resume it, or start again with --force"):
        train(config_of(data, out), show=Silent())
    assert trained[0].checkpoint.read_bytes() == before


def test_a_run_is_gone_on_with_or_started_again_but_not_both() -> None:
    with pytest.raises(StreamcamError, match="leave one of them out"):
        make_train_config({"data": "clips", "out": "run", "resume": True, "force": True})


def spoiled(data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in COLOURS:
        (folder / name).mkdir(parents=True)
        for file in (data / name).iterdir():
            (folder / name / file.name).write_bytes(file.read_bytes())
    return folder


def test_what_cannot_be_read_is_named_and_left_out(data: Path, tmp_path: Path) -> None:
    folder, notes = spoiled(data, tmp_path), list[str]()
    (folder / "red" / "broken.mp4").write_bytes(b"not a video")
    train(config_of(folder, tmp_path / "x", epochs=1), show=Silent(), say=notes.append)
    assert len(notes) == 1
    assert "broken.mp4" in notes[0]


def cut_off(path: Path) -> Path:
    """Write a video of 8 s, and cut the file off after a third of its bytes."""
    write_clip(path, [picture(0, i % 8, COLOURS["red"]) for i in range(80)], index_first=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    return path


def test_what_turns_out_to_be_unreadable_on_the_way_is_named_once_and_left_out(data: Path, tmp_path: Path) -> None:
    cut = cut_off(tmp_path / "cut.mp4")
    rows = [f"{data}/{name}/{i}.mp4,,,{name},{'val' if i < 2 else 'train'}" for name in COLOURS for i in range(8)]
    rows += ["cut.mp4,6,7.5,red,train", "cut.mp4,5,5.5,red,val"]
    (tmp_path / "clips.csv").write_text("\n".join(["path,start,end,label,split", *rows]))
    notes: list[str] = []
    train(config_of(tmp_path / "clips.csv", tmp_path / "x"), show=Silent(), say=notes.append)
    assert sorted(notes) == [
        f"skipped {cut} ({stretch} s): no picture in it can be decoded" for stretch in ("5–5.5", "6–7.5")
    ]
    assert (tmp_path / "x" / BEST).exists()


def _no_clips(folder: Path) -> None:
    for file in (folder / "red").iterdir():
        file.unlink()


def _one_short(folder: Path) -> None:
    write_clip(folder / "red" / "short.mp4", [picture(0, i, COLOURS["red"]) for i in range(2)])


def _all_broken(folder: Path) -> None:
    for file in (folder / "red").iterdir():
        file.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_clips, "no clip of class 'red'"),
        (_one_short, r"short\.mp4: 0\.20 s, shorter than the window of 0\.30 s"),
        (_all_broken, "no clip of class 'red' for training can be read"),
    ],
)
def test_bad_data_end_in_one_line(data: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    folder = spoiled(data, tmp_path)
    spoil(folder)
    with pytest.raises(StreamcamError, match=message):
        train(config_of(folder, tmp_path / "x"), show=Silent())
    assert not (tmp_path / "x").exists()


def test_a_label_that_the_checkpoint_does_not_know(data: Path, trained: Run, tmp_path: Path) -> None:
    folder = spoiled(data, tmp_path)
    (folder / "red").rename(folder / "reed")
    with pytest.raises(StreamcamError, match=r"has no class 'reed' .*did you mean 'red'"):
        train(config_of(folder, tmp_path / "x", model=str(trained[0].checkpoint)), show=Silent())


def test_frames_are_those_of_the_stretch(data: Path) -> None:
    clip = LabelledClip(data / "red" / "0.mp4", 0.3, 0.8, (1,))
    frames = read_frames(clip, FORMAT, count=3, position=0.0)
    whole = read_frames(replace(clip, start_s=0.0), FORMAT, count=8)
    assert frames.shape == (3, 3, 36, 48)
    np.testing.assert_array_equal(frames, whole[3:6])


def test_every_class_is_drawn_as_often() -> None:
    clips = [LabelledClip(Path("x"), 0, 1, (int(i >= 90),)) for i in range(100)]
    keys = [key for batch in BalancedSampler(clips, batch=10, seed=3) for key in batch]
    rare = sum(number >= 90 for _, number in keys)
    assert 35 <= rare <= 65


def test_an_epoch_taken_up_in_its_middle_goes_on_with_the_same_clips() -> None:
    clips = [LabelledClip(Path("x"), 0, 1, (i % 2,)) for i in range(40)]
    sampler = BalancedSampler(clips, batch=8, seed=3)
    whole = list(sampler)
    sampler.first = 2
    assert list(sampler) == whole[2:]
    sampler.epoch = 1
    assert list(sampler) != whole[2:]


def test_ranks_share_an_epoch_and_a_validation() -> None:
    clips = [LabelledClip(Path("x"), 0, 1, (0,)) for _ in range(40)]
    both = [list(BalancedSampler(clips, batch=4, seed=3, rank=rank, world=2)) for rank in (0, 1)]
    assert len(both[0]) == len(both[1]) == 5
    samplers = [ValidationSampler(7, batch=2, rank=rank, world=2) for rank in (0, 1)]
    assert sorted(n for sampler in samplers for batch in sampler for _, n in batch) == list(range(7))


def test_a_sheet_has_a_row_for_each_clip_however_few_moments_it_has(tmp_path: Path) -> None:
    black = Cell(np.zeros((10, 10, 3), np.uint8))
    write_sheet(tmp_path / "none.png", [])
    assert not (tmp_path / "none.png").exists()
    for name, rows in (("short", [[black], [black] * 3]), ("whole", [[black] * 3, [black] * 3])):
        write_sheet(tmp_path / f"{name}.png", rows)
    short, whole = (np.asarray(cv2.imread(str(tmp_path / f"{name}.png")), np.uint8) for name in ("short", "whole"))
    dark = [np.any(sheet < 128, axis=2) for sheet in (short, whole)]
    assert short.shape == whole.shape
    half = len(whole) // 2
    np.testing.assert_array_equal(short[half:], whole[half:])
    assert dark[0][:half].sum() * 3 == dark[1][:half].sum()


def test_the_sheet_says_which_classes_it_leaves_out(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamcam.train.fit, "SHEET_CLASSES", 1)
    notes: list[str] = []
    train(config_of(data, tmp_path / "x", learning_rate=0.05), show=Silent(), say=notes.append)
    assert notes == ["heat.png shows the first 1 of 2 classes"]


def test_scores_by_hand() -> None:
    logits = np.array([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0], [3.0, 1.0]], np.float32)
    targets = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    assert score_of(logits, targets, multi_label=False) == pytest.approx((1.0 + 0.5) / 2)
    ranked = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    assert average_precision(ranked, np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.slow
def test_two_processes_train_together_and_one_of_them_speaks(data: Path, tmp_path: Path) -> None:
    options = ["--model", "mobilenet_v3_small", "--weights", "none", "--window", "2", "--epochs", "1", "--batch", "2"]
    command = [sys.executable, "-m", "streamcam", "train", str(data), "-o", str(tmp_path / "run"), *options]
    together = ["--device", "cpu", "--devices", "2", "--workers", "0", "--precision", "fp32"]
    done = subprocess.run([*command, *together], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("see it live") == 1
    assert done.stderr.count("epoch 1 of 1") == 1
    assert load_model(str(tmp_path / "run" / BEST)).classes == ("blue", "red", "none of these")


@pytest.mark.slow
def test_no_process_waits_for_one_that_has_no_clips(data: Path, tmp_path: Path) -> None:
    cut_off(tmp_path / "cut.mp4")
    rows = [f"{data}/{name}/{i}.mp4,,,{name},train" for name in COLOURS for i in range(2)]
    rows += [f"cut.mp4,{start},{start + 0.5},red,train" for start in (5, 6)]
    rows += [f"cut.mp4,{start},{start + 0.5},blue,train" for start in (5.5, 6.5)]
    rows += [f"{data}/red/3.mp4,,,red,val"]
    (tmp_path / "clips.csv").write_text("\n".join(["path,start,end,label,split", *rows]))
    run = small_run(tmp_path / "clips.csv", tmp_path / "x", devices=2, batch=1, epochs=1)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, *run], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 0") == 1
    assert len(re.findall(r"^step \d+ -?0\.0$", done.stdout, re.M)) in range(1, 4)
    assert load_model(str(tmp_path / "x" / BEST)).classes == ("blue", "red")


def test_a_classifier_learns_in_proportion_to_what_it_reads(data: Path) -> None:
    dataset = read_dataset(data, need_s=0.3, val_share=0.25, multi_label=False)
    clips = ClipDataset(dataset.val, 2, FORMAT, frames=FORMAT.length)
    model = build_small("none")
    loud = feature_scale(model, clips)
    with torch.no_grad():
        for parameter in model.features[-2].parameters():  # type: ignore[index]
            parameter *= 0.01
    assert feature_scale(model, clips) == pytest.approx(0.01 * loud, rel=1e-4)
    faint = feature_scale(model, clips)
    weight, bias, features = new_optimizer(model, scale=faint, pretrained=True, learning_rate=1e-3).param_groups
    assert weight["params"] == [model.head.classifier.weight]
    assert weight["rate"] == pytest.approx(100 / loud, rel=1e-4)
    assert weight["rate"] * weight["weight_decay"] == pytest.approx(WEIGHT_DECAY)
    assert (bias["rate"], features["rate"]) == (1.0, BACKBONE_RATE)
    fresh = new_optimizer(model, pretrained=False, learning_rate=1e-3).param_groups
    assert [group["rate"] for group in fresh] == [1.0, 1.0, 1.0]
