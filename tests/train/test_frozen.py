"""A classifier on features as they are is a logistic regression, chosen by clips of other groups."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from streamcam.train.frozen import DECAYS, PooledClips, ViewSampler, choose_decay, fit_classifier


def clips(count: int, classes: int, *, seed: int = 0, noise: float = 1.0) -> PooledClips:
    """Features whose first `classes` columns tell the class, with others that tell nothing, of odd sizes."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, count) * rng.integers(0, 2, count)  # the first is the most frequent
    x = rng.normal(0, noise, (count, 12))
    x[np.arange(count), label] += 2
    x = x * rng.uniform(0.01, 100, 12) + rng.uniform(-10, 10, 12)
    targets = np.eye(classes)[label]
    return PooledClips(torch.from_numpy(x).float(), torch.from_numpy(targets).float(), torch.arange(count))


def test_it_is_scikit_learns_logistic_regression_on_standardised_features() -> None:
    data, decay = clips(200, 3), 0.01
    layer = fit_classifier(data, multi_label=False, decay=decay)
    x = data.features.numpy().astype(np.float64)
    standardised = (x - x.mean(0)) / x.std(0)
    model = LogisticRegression(C=1 / (decay * len(x)), class_weight="balanced", tol=1e-8, max_iter=10_000)
    model.fit(standardised, data.targets.numpy().argmax(1))
    ours = layer(data.features).softmax(1).detach().numpy()
    np.testing.assert_allclose(ours, model.predict_proba(standardised), atol=2e-3)


def test_with_several_labels_each_class_is_a_question_of_its_own() -> None:
    data = clips(200, 2)
    both = fit_classifier(data, multi_label=True, decay=0.01)(data.features).sigmoid()
    # One of two classes is true here, so each is a question with the other's answer turned around.
    np.testing.assert_allclose(both.sum(1).detach(), np.ones(200), atol=2e-3)


def test_noise_asks_for_strong_regularisation_and_clear_features_for_little() -> None:
    clear, vague = clips(120, 2, noise=0.2), clips(24, 2, noise=6)
    groups = list(range(120))
    assert choose_decay(vague, groups, multi_label=False) == DECAYS[0]
    assert choose_decay(clear, groups, multi_label=False) == DECAYS[-1]


def test_clips_of_one_group_do_not_judge_each_other() -> None:
    # Each person has a column of their own that tells the class of their clips alone: it serves nobody else.
    rng = np.random.default_rng(0)
    person, label = np.repeat(np.arange(8), 10), np.tile([0, 1], 40)
    x = rng.normal(0, 0.1, (80, 9))
    x[np.arange(80), person] = 5 * np.where((label == 1) == (person % 2 == 0), 1, -1)
    x[:, 8] = label + rng.normal(0, 1, 80)
    data = PooledClips(torch.from_numpy(x).float(), torch.from_numpy(np.eye(2)[label]).float(), torch.arange(80))
    by_person = choose_decay(data, [f"p{i}" for i in person], multi_label=False)
    by_clip = choose_decay(data, list(range(80)), multi_label=False)
    assert by_person > by_clip


def test_views_are_kept_and_numbered_by_their_clips() -> None:
    data = PooledClips(torch.arange(6.0)[:, None], torch.eye(2).repeat(3, 1), torch.tensor([0, 1, 2, 0, 1, 2]))
    some = data.of(torch.tensor([2, 0]))
    assert some.features[:, 0].tolist() == [0, 2, 3, 5]
    assert some.numbers.tolist() == [1, 0, 1, 0]


def test_ranks_share_all_views() -> None:
    keys = [key for rank in (0, 1) for batch in ViewSampler(5, views=2, batch=3, rank=rank, world=2) for key in batch]
    assert sorted(keys) == [(view, number) for view in (0, 1) for number in range(5)]
