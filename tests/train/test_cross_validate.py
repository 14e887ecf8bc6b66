"""Leave each person out once; end a training by time; begin it with a fitted classifier."""

import csv
from pathlib import Path

import numpy as np
import pytest

from streamcam.config.train import TrainConfig
from streamcam.errors import StreamcamError
from streamcam.models.base import ModelEntry
from streamcam.models.registry import MODELS
from streamcam.train.cross_validate import Fold, describe
from streamcam.train.fit import train
from streamcam.train.metrics import EpochMetrics
from tests.support.train_small import SMALL, build_small
from tests.support.write_clip import write_clip

Whole = tuple[Path, "Recorded", list[str]]
PERSONS = ("anna", "ben", "carl")
COLOURS = {"red": (230, 30, 30), "blue": (30, 30, 230)}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "small", ModelEntry(SMALL, build_small))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 0.8 s of each class by each of three persons, in a CSV file."""
    folder = tmp_path_factory.mktemp("persons")
    lines = ["path,label,person"]
    for i, person in enumerate(PERSONS):
        for name, colour in COLOURS.items():
            for number in range(2):
                noise = np.random.default_rng(10 * i + number).integers(60, 160, (36, 48, 3), dtype=np.uint8)
                noise[10:24, 14:28] = colour
                path = f"{person}-{name}-{number}.mp4"
                write_clip(folder / path, [noise] * 8)
                lines.append(f"{path},{name},{person}")
    listing = folder / "clips.csv"
    listing.write_text("\n".join(lines))
    return listing


class Recorded:
    """Keeps the epochs that it was shown, and may interrupt the run at a step."""

    def __init__(self, *, dies_at_epoch: int | None = None) -> None:
        self.epochs: list[EpochMetrics] = []
        self.looked: list[tuple[int, int]] = []
        self.steps: list[tuple[int, int]] = []
        self._dies_at_epoch = dies_at_epoch

    def look_at(self, done: int, count: int) -> None:
        self.looked.append((done, count))

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:
        self.steps.append((done, total))

    def epoch(self, epoch: EpochMetrics, *, best: bool) -> None:
        self.epochs.append(epoch)
        if len(self.epochs) == self._dies_at_epoch:
            raise KeyboardInterrupt


def config_of(data: Path, out: Path, **options: object) -> TrainConfig:
    plain = {"data": data, "out": out, "model": "small", "workers": 0, "batch": 4, "epochs": 1, "precision": "fp32"}
    return TrainConfig.model_validate(plain | options)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run that nobody interrupts: its folder, what it showed, and its lines."""
    out, show, said = tmp_path_factory.mktemp("runs") / "whole", Recorded(), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "small", ModelEntry(SMALL, build_small))
        train(config_of(data, out, cross_validate=True), show=show, say=said.append)
    return out, show, said


def test_each_person_is_left_out_once(whole: Whole) -> None:
    out, _, said = whole
    with (out / "folds.csv").open() as file:
        folds = list(csv.DictReader(file))
    assert [(fold["person"], fold["clips"]) for fold in folds] == [(person, "4") for person in PERSONS]
    assert all(float(fold["frozen"]) == 1.0 for fold in folds)  # random features tell two colours apart
    assert said[-1].startswith("people whom it has not seen, each of 3 left out once: score ")


def test_one_that_was_killed_between_persons_goes_on(data: Path, whole: Whole, tmp_path: Path) -> None:
    out, uninterrupted, _ = whole
    killed, rest = Recorded(dies_at_epoch=3), Recorded()
    with pytest.raises(KeyboardInterrupt):
        train(config_of(data, tmp_path / "parts", cross_validate=True), show=killed)
    train(config_of(data, tmp_path / "parts", cross_validate=True, resume=True), show=rest)
    assert len(rest.epochs) < len(uninterrupted.epochs)
    assert (tmp_path / "parts" / "folds.csv").read_text() == (out / "folds.csv").read_text()


def test_without_persons_nobody_can_be_left_out(data: Path, tmp_path: Path) -> None:
    nameless = data.parent / "nameless.csv"
    nameless.write_text("\n".join(line.rsplit(",", 1)[0] for line in data.read_text().splitlines()))
    with pytest.raises(StreamcamError, match="no clip says who is in it: name the persons"):
        train(config_of(nameless, tmp_path / "x", cross_validate=True), show=Recorded())


def test_the_lines_give_the_mean_and_the_spread() -> None:
    folds = [Fold("anna", 4, 0.5, 0.75), Fold("ben", 1, 1.0, 1.0)]
    assert describe(folds) == [
        "without anna, on 4 clips of theirs: score 0.750, with features as they are 0.500",
        "without ben, on 1 clip of theirs: score 1.000, with features as they are 1.000",
        "people whom it has not seen, each of 2 left out once: "
        "score 0.875 ± 0.177, with features as they are 0.750 ± 0.354",
    ]


def test_no_epochs_fit_a_classifier_to_features_as_they_are(data: Path, tmp_path: Path) -> None:
    show = Recorded()
    result = train(config_of(data, tmp_path / "x", epochs=0), show=show)
    assert [epoch.epoch for epoch in show.epochs] == [0]
    assert result.score == 1.0
    assert show.looked[-1][0] == show.looked[-1][1] > 0
    assert not show.steps


def test_from_nothing_there_are_no_features_to_fit_a_classifier_to(data: Path, tmp_path: Path) -> None:
    show = Recorded()
    train(config_of(data, tmp_path / "x", weights="none"), show=show)
    assert [epoch.epoch for epoch in show.epochs] == [1]
    with pytest.raises(StreamcamError, match="--epochs 0 fits a new classifier"):
        train(config_of(data, tmp_path / "y", weights="none", epochs=0), show=Recorded())


def test_tuning_is_kept_only_where_it_is_better(data: Path, tmp_path: Path) -> None:
    show = Recorded()
    spoilt = config_of(data, tmp_path / "x", learning_rate=10.0, epochs=2)
    result = train(spoilt, show=show)
    assert result.score == show.epochs[0].score == 1.0
    assert '"epoch": 0.0' in (tmp_path / "x" / "best.json").read_text()


def test_a_training_ends_by_time_with_the_rate_at_zero(data: Path, tmp_path: Path) -> None:
    show = Recorded()
    train(config_of(data, tmp_path / "x", weights="none", epochs=100_000, max_minutes=0.02), show=show)
    assert 1.2 <= sum(epoch.seconds for epoch in show.epochs) < 10
    assert show.steps[-1][0] == show.steps[-1][1]
    assert show.epochs[-1].learning_rate < 1e-6 * 1e-3  # of the highest
