"""The temperature at which scores say how often a network is right."""

import pytest
import torch
from torch import Tensor

from streamcam.heat.none_of_these import NONE_OF_THESE
from streamcam.train.metrics import judge
from streamcam.train.temperature import LEAST_CLIPS, fit_temperature


def drawn(count: int, *, sharpened: float) -> tuple[Tensor, Tensor]:
    """Logits of which the softmax is right by construction, then multiplied: their temperature is that factor."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(count, 4, generator=generator)
    classes = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * sharpened, torch.eye(4)[classes]


@pytest.mark.parametrize("sharpened", [0.5, 1.0, 3.0])
def test_it_undoes_what_makes_a_network_too_sure_or_not_sure_enough(sharpened: float) -> None:
    assert fit_temperature(*drawn(4000, sharpened=sharpened)) == pytest.approx(sharpened, rel=0.1)


def test_few_clips_leave_it_at_one() -> None:
    assert fit_temperature(*drawn(LEAST_CLIPS - 1, sharpened=3.0)) == 1.0
    assert fit_temperature(*drawn(LEAST_CLIPS, sharpened=3.0)) != 1.0


def test_a_network_that_is_always_right_is_not_made_surer_than_its_clips_can_show() -> None:
    count = 40
    targets = torch.eye(4)[torch.arange(count) % 4]
    temperature = fit_temperature(5 * targets, targets)
    assert float((5 * targets / temperature).softmax(1).max()) == pytest.approx((count + 1) / (count + 2), abs=0.01)


def test_score_and_background_are_judged_apart() -> None:
    classes = ("nod", "wave", NONE_OF_THESE)
    targets = torch.eye(3)[torch.tensor([0, 0, 1, 1, 2, 2, 2, 2])]
    answers = torch.eye(3)[torch.tensor([0, 2, 1, 1, 2, 2, 2, 0])]
    validation = judge(6 * answers, targets, classes, multi_label=False)
    assert validation.score == pytest.approx((0.5 + 1.0) / 2)
    assert validation.background_named == pytest.approx(0.25)
    assert validation.choice == pytest.approx((2 * 0.75 + 1 - 0.25) / 3)
    unsure = judge(0.1 * answers, targets, classes, multi_label=False)
    assert unsure.score == validation.score
    assert unsure.background_named == 0.0  # no score reaches what an overlay names


def test_without_background_the_score_alone_chooses() -> None:
    targets = torch.eye(2)[torch.tensor([0, 1])]
    validation = judge(targets, targets, ("nod", "wave"), multi_label=False)
    assert (validation.score, validation.background_named, validation.choice) == (1.0, None, 1.0)
    several = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    labelled = judge(8 * several - 4, several, ("nod", "wave"), multi_label=True)
    assert (labelled.score, labelled.background_named, labelled.temperature) == (1.0, 0.0, 1.0)
