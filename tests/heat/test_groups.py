"""Groups of classes: their scores add up, and their heat pools to their logits."""

import numpy as np
import pytest
import torch

from streamcam.heat.cam import CamOutput, pool
from streamcam.heat.groups import ClassGroups
from streamcam.heat.results import Link

MEMBERS = [(4, 0), (2,), (1, 3, 5)]


def output(*, clips: int = 2) -> CamOutput:
    torch.manual_seed(0)
    cube, bias = 3 * torch.randn(clips, 6, 3, 4, 5), torch.randn(6)
    return CamOutput(pool(cube) + bias, (cube,), bias)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_scores_of_groups_are_sums_of_their_classes_scores(temperature: float) -> None:
    classes = output()
    groups = ClassGroups(MEMBERS, temperature=temperature)(classes)
    link = Link(multi_label=False, temperature=temperature)
    scores = link.scores(classes.logits.numpy())
    expected = np.stack([scores[:, list(group)].sum(1) for group in MEMBERS], axis=1)
    np.testing.assert_allclose(link.scores(groups.logits.numpy()), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_heat_of_groups_pools_to_their_logits_with_the_bias_of_the_clip(temperature: float) -> None:
    groups = ClassGroups(MEMBERS, temperature=temperature)(output())
    assert groups.bias.shape == (2, 3)
    torch.testing.assert_close(pool(groups.cube) + groups.bias, groups.logits, atol=1e-6, rtol=0)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_a_groups_heat_weighs_classes_by_the_derivative_of_its_logit(temperature: float) -> None:
    classes, groups = output(clips=1), ClassGroups(MEMBERS, temperature=temperature)
    logits = classes.logits.detach().requires_grad_()
    for g in range(len(MEMBERS)):
        (weights,) = torch.autograd.grad(groups.logits(logits)[0, g], logits)
        expected = torch.einsum("nc,nclhw->nlhw", weights, classes.cube)
        torch.testing.assert_close(groups(classes).cube[:, g], expected, atol=1e-5, rtol=0)


def test_a_class_that_is_alone_keeps_its_logit_and_its_heat() -> None:
    classes, groups = output(), ClassGroups(MEMBERS)(output())
    torch.testing.assert_close(groups.logits[:, 1], classes.logits[:, 2])
    assert torch.equal(groups.cube[:, 1], classes.cube[:, 2])
    every = ClassGroups([(i,) for i in range(6)])(output())
    assert torch.equal(every.cube, classes.cube)


def test_a_map_that_all_classes_share_changes_no_centred_heat_of_groups() -> None:
    plain, shared = output(), torch.randn(2, 1, 3, 4, 5)
    groups = ClassGroups(MEMBERS)
    moved = CamOutput(plain.logits + pool(shared), (plain.cube + shared,), plain.bias)
    before, after = groups(plain).cube, groups(moved).cube
    torch.testing.assert_close(after - after.mean(1, keepdim=True), before - before.mean(1, keepdim=True))


def test_far_apart_logits_stay_finite() -> None:
    logits = torch.tensor([[300.0, -300.0, 0.0, -301.0, 299.0, -400.0]])
    assert ClassGroups(MEMBERS, temperature=0.5).logits(logits).isfinite().all()


@pytest.mark.parametrize("members", [[(0, 1), (1, 2)], [(0,), (2,)], [(0, 1), ()]])
def test_every_class_is_in_exactly_one_group(members: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="every class in exactly one group"):
        ClassGroups(members)
