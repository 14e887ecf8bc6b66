"""Clips of `none of these` that nobody recorded: which are made, and what training makes of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import streamcam.train.background
import streamcam.train.loop
from streamcam.config.train import TrainConfig
from streamcam.errors import StreamcamError
from streamcam.heat.none_of_these import NONE_OF_THESE, UNPAINTED
from streamcam.models.base import ModelEntry
from streamcam.models.registry import MODELS, load_model
from streamcam.train.background import SAMPLE, SAMPLE_PARTS_S, with_background
from streamcam.train.clips import BalancedSampler, ClipDataset
from streamcam.train.data.annotations import LabelledClip
from streamcam.train.data.dataset import Dataset
from streamcam.train.fit import BEST, train
from streamcam.train.metrics import EpochMetrics
from streamcam.train.recipes import AS_IT_IS, RECIPES, SLOW
from tests.support.train_small import FORMAT, SMALL, build_small
from tests.support.write_clip import write_clip

COLOURS = {"red": (230, 30, 30), "blue": (30, 30, 230)}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "small", ModelEntry(SMALL, build_small))


def picture(number: int, i: int, colour: tuple[int, int, int]) -> np.ndarray:
    """Draw a coloured square on noise that moves right with i."""
    image = np.random.default_rng(number).integers(60, 160, (36, 48, 3), dtype=np.uint8)
    image[8 + number % 8 :, 4 + i :][:14, :14] = colour
    return image


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips of 0.8 s for each of two colours."""
    folder = tmp_path_factory.mktemp("clips")
    for name, colour in COLOURS.items():
        for number in range(5):
            write_clip(folder / name / f"{number}.mp4", [picture(number, i, colour) for i in range(8)])
    return folder


class Losses:
    """A display that records the losses and the epochs, and may interrupt the run."""

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
    return TrainConfig.model_validate(plain | {"device": "cpu"} | options)


def dataset(*classes: str, each: int = 30, multi_label: bool = False) -> Dataset:
    """`each` clips for training and 4 for validation of each class; no such files exist."""

    def clips(count: int, folder: str) -> tuple[LabelledClip, ...]:
        labels = [tuple(range(k + 1)) if multi_label else (k,) for k in range(len(classes)) for _ in range(count)]
        return tuple(LabelledClip(Path(f"{folder}/{i}.mp4"), 0.0, 3.0, shown) for i, shown in enumerate(labels))

    return Dataset(classes, clips(each, "train"), clips(4, "val"), ("a note",), "by file")


def added_to(before: Dataset, *, known: bool = False, multi_label: bool = False) -> Dataset:
    return with_background(before, SMALL, known=known, multi_label=multi_label, seed=0)


def recipes_of(clips: Sequence[LabelledClip]) -> set[str | None]:
    return {clip.recipe for clip in clips}


def test_background_is_one_more_class_as_large_as_the_others() -> None:
    before = dataset("nod", "wave")
    after = added_to(before)
    assert after.classes == ("nod", "wave", NONE_OF_THESE)
    assert (after.train[:60], after.val[:8]) == (before.train, before.val)
    made = after.train[60:]
    assert len(made) == 30
    assert {clip.labels for clip in (*made, *after.val[8:])} == {(2,)}
    assert recipes_of(made) == {*RECIPES}
    assert after.notes[0] == "a note"
    assert f"30 + {len(after.val) - 8} clips of 'none of these'" in after.notes[1]


def test_background_for_validation_is_made_of_validation_clips_alone() -> None:
    after = added_to(dataset("nod", "wave"))
    of_clips = [clip for clip in (*after.train, *after.val) if clip.recipe not in (None, AS_IT_IS)]
    assert {clip.path.parent.name for clip in after.train if clip in of_clips} == {"train"}
    assert {clip.path.parent.name for clip in after.val if clip in of_clips} == {"val"}
    times = [{(c.start_s, c.end_s) for c in clips if c.path == SAMPLE} for clips in (after.train, after.val)]
    assert times == [{part} for part in SAMPLE_PARTS_S]
    assert SAMPLE_PARTS_S[0][1] <= SAMPLE_PARTS_S[1][0]


@pytest.mark.parametrize("name", ["none", "None_of-these", "Nothing", "background", "Other", "No gesture"])
def test_a_class_that_people_have_recorded_for_it_gets_no_second_one(name: str) -> None:
    before = dataset("nod", name)
    after = added_to(before)
    assert replace(after, notes=before.notes) == before
    assert f"{name!r} is taken for whatever is none of the other classes" in after.notes[-1]


@pytest.mark.parametrize("name", ["still", "Idle", "standing_still", "nobody"])
def test_where_stillness_is_a_class_what_stands_still_is_not_background(name: str) -> None:
    after = added_to(dataset("wave", name))
    assert after.classes[-1] == NONE_OF_THESE
    assert recipes_of(after.train) == {None, *RECIPES} - {*SLOW}


def test_to_a_network_that_looks_at_single_frames_only_other_footage_is_background() -> None:
    after = with_background(
        dataset("cup", "pen"), replace(SMALL, framewise=True), known=False, multi_label=False, seed=0
    )
    assert recipes_of(after.train) == {None, AS_IT_IS}


def test_a_checkpoint_gets_no_class_that_it_lacks_but_clips_for_the_one_that_it_has() -> None:
    before = dataset("nod", "wave")
    lacks = added_to(before, known=True)
    assert replace(lacks, notes=before.notes) == before
    assert "the checkpoint has no class 'none of these'" in lacks.notes[-1]
    has = replace(before, classes=("nod", "wave", NONE_OF_THESE))
    after = added_to(has, known=True)
    assert after.classes == has.classes
    assert {clip.labels for clip in after.train[60:]} == {(2,)}


def test_with_several_labels_a_clip_background_has_none_and_is_drawn_as_often_as_a_class() -> None:
    after = added_to(dataset("nod", "wave", multi_label=True), multi_label=True)
    assert after.classes == ("nod", "wave")
    assert {clip.labels for clip in after.train[60:]} == {()}
    keys = [key for batch in BalancedSampler(after.train, batch=10, seed=3) for key in batch]
    drawn = sum(number >= 60 for _, number in keys)
    # Weights: 1/60 for clips of the first class alone, 1/30 for those of both, 1/30 for background.
    assert 0.25 <= drawn / len(keys) <= 0.55


def test_the_digest_knows_recipes_and_is_as_before_without_them(data: Path) -> None:
    clip = LabelledClip(data / "red" / "0.mp4", 0.0, 0.8, (0,))

    def digest(recipe: str | None) -> str:
        return Dataset(("red",), (replace(clip, recipe=recipe),), (), (), "").digest

    assert len({digest(recipe) for recipe in (None, *RECIPES)}) == 1 + len(RECIPES)


def test_what_a_recipe_leaves_to_chance_depends_on_seed_epoch_and_clip_alone(data: Path) -> None:
    clips = [LabelledClip(data / "red" / "0.mp4", 0.0, 0.8, (0,), recipe=name) for name in RECIPES if name != AS_IT_IS]
    once, again = (ClipDataset(clips, 1, FORMAT, frames=6, seed=3) for _ in range(2))
    for number in range(len(clips)):
        torch.testing.assert_close(once[1, number].frames, again[1, number].frames, rtol=0, atol=0)
        assert (once[1, number].frames != once[2, number].frames).any()
        val = ClipDataset(clips, 1, FORMAT, frames=4)
        torch.testing.assert_close(val[0, number].frames, val[0, number].frames, rtol=0, atol=0)


def test_a_run_with_background_that_was_killed_goes_on_as_if_it_had_not_been(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamcam.train.loop, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(streamcam.train.background, "LEAST", 4)  # is enough, and quicker
    whole, first, second = Losses(), Losses(dies_after=3), Losses()
    train(config_of(data, tmp_path / "whole"), show=whole)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(data, tmp_path / "parts"), show=first)
    train(config_of(data, tmp_path / "parts", resume=True), show=second)
    assert first.losses[:2] + second.losses == whole.losses
    assert [e.background_named for e in second.epochs] == [
        e.background_named for e in whole.epochs[-len(second.epochs) :]
    ]
    assert (tmp_path / "parts" / BEST).read_bytes() == (tmp_path / "whole" / BEST).read_bytes()
    with pytest.raises(StreamcamError, match="other data or options"):
        train(config_of(data, tmp_path / "whole", resume=True, background=False), show=Losses())


def test_the_card_says_how_much_background_is_named(data: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    show = Losses()
    result = train(config_of(data, tmp_path / "x", epochs=1), show=show, say=notes.append)
    card = json.loads((tmp_path / "x" / "best.json").read_text())
    assert card["classes"] == ["blue", "red", NONE_OF_THESE]
    assert card["heat_scale"][2] == UNPAINTED
    best = max(show.epochs, key=lambda epoch: epoch.quality)
    assert card["metrics"]["background_named"] == best.background_named
    assert card["metrics"]["score"] == result.score
    assert "of the background named as a class" in card["about"]
    assert sum("clips of 'none of these'" in note for note in notes) == 1
    assert load_model(str(result.checkpoint)).classes[2] == NONE_OF_THESE


def test_without_background_there_are_the_recorded_classes_alone(data: Path, tmp_path: Path) -> None:
    train(config_of(data, tmp_path / "x", epochs=1, background=False), show=Losses())
    card = json.loads((tmp_path / "x" / "best.json").read_text())
    assert card["classes"] == ["blue", "red"]
    assert "background_named" not in card["metrics"]


def test_with_several_labels_a_clip_it_is_learnt_that_background_shows_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamcam.train.background, "LEAST", 4)
    rows = ["path,start,end,label"]
    for name in COLOURS:
        rows += [f"{data}/{name}/{i}.mp4,0,0.8,{label}" for i in range(5) for label in (name, "moving right")]
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    show = Losses()
    train(config_of(tmp_path / "clips.csv", tmp_path / "x", multi_label=True, epochs=1), show=show)
    assert load_model(str(tmp_path / "x" / BEST)).classes == ("blue", "moving right", "red")
    assert show.epochs[0].background_named is not None


def test_a_run_that_goes_on_from_a_checkpoint_learns_its_background_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamcam.train.background, "LEAST", 4)
    for background in (True, False):
        first, second = tmp_path / f"first-{background}", tmp_path / f"second-{background}"
        train(config_of(data, first, epochs=1, background=background), show=Losses())
        notes: list[str] = []
        train(config_of(data, second, epochs=1, model=str(first / BEST)), show=Losses(), say=notes.append)
        classes = ("blue", "red", NONE_OF_THESE) if background else ("blue", "red")
        assert load_model(str(second / BEST)).classes == classes
        assert any("the checkpoint has no class" in note for note in notes) is not background
