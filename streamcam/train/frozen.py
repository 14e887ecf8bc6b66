"""Fit a classifier to features that stay as they are: logistic regression, in seconds. Fine-tuning begins from it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import Sampler

from streamcam.errors import StreamcamError
from streamcam.models.base import CamModel
from streamcam.train.clips import ClipKey
from streamcam.train.metrics import loss_of, losses_of

VIEWS = 3
"""Each clip is read so many times: at another moment, of another size, in another light."""

MOST_CLIPS = 2000
"""Of a larger data set, so many clips are read."""

DECAYS = tuple(float(decay) for decay in np.logspace(-1, -3, 5))
"""The strengths of regularisation that are compared, for features of standard deviation 1."""

MOST_FOLDS = 6
"""The strengths are compared by cross-validation in so many parts at most."""

ITERATIONS, TOLERANCE = 200, 1e-6
"""L-BFGS ends after so many steps, or where the loss or the weights change by less."""


@dataclass(frozen=True, slots=True, eq=False)
class PooledClips:
    """What the classifier reads of N clips, or of N views of fewer clips."""

    features: Tensor
    """float32 [N,K]."""
    targets: Tensor
    """float32 [N,C]: 1 for each class that the clip shows, else 0."""
    numbers: Tensor
    """int64 [N]: the index of each clip in its data set."""

    @property
    def scale(self) -> float:
        """The root mean square of the features, 1e-4 at least."""
        return max(float(self.features.square().mean().sqrt()), 1e-4)

    def of(self, numbers: Tensor) -> "PooledClips":
        """Keep the views of these clips alone, int64 [M], and number the clips by their place among these."""
        keep = torch.isin(self.numbers, numbers)
        order = torch.argsort(numbers)
        place = order[torch.searchsorted(numbers[order], self.numbers[keep])]
        return PooledClips(self.features[keep], self.targets[keep], place)


class ViewSampler(Sampler[list[ClipKey]]):
    """Gives every clip `views` times, or at most `MOST_CLIPS` evenly spaced ones; each rank has every `world`-th."""

    def __init__(self, count: int, *, views: int, batch: int, rank: int = 0, world: int = 1) -> None:
        numbers = sorted({round(i) for i in np.linspace(0, count - 1, min(count, MOST_CLIPS))})
        self._keys = [(view, number) for view in range(views) for number in numbers][rank::world]
        self._batch = batch

    def __len__(self) -> int:
        return -(-len(self._keys) // self._batch)

    def __iter__(self) -> Iterator[list[ClipKey]]:
        for i in range(0, len(self._keys), self._batch):
            yield self._keys[i : i + self._batch]


def classifier_inputs(model: CamModel, frames: Tensor) -> Tensor:
    """Compute what the last linear layer reads, float32 [N,K], of clips in 0–255 [N,L,3,h,w]."""
    maps = model.feature_maps(model.normalise(frames))
    x = torch.cat([m.float().mean((2, 3, 4)) for m in maps], dim=1)
    for layer in list(model.head.layers)[:-1]:
        x = layer(x)
    return x


@torch.no_grad()
def pool_views(model: CamModel, views: Iterable[tuple[Tensor, Tensor, Tensor]]) -> PooledClips:
    """Compute what the classifier reads of clips, batch by batch.

    Args:
        model: in evaluation mode.
        views: of each batch, the clips in 0–255 [N,L,3,h,w], their targets [N,C] and their numbers [N].
    """
    rows = [
        (torch.zeros(0, model.head.classifier.in_features), torch.zeros(0, len(model.classes)), torch.zeros(0).long())
    ]
    for frames, targets, numbers in views:
        rows.append((classifier_inputs(model, frames).cpu(), targets.cpu(), numbers.cpu()))
    return PooledClips(*(torch.cat(column) for column in zip(*rows, strict=True)))


def fit_classifier(clips: PooledClips, *, multi_label: bool, decay: float) -> nn.Linear:
    """Fit a linear layer: regularised logistic regression, for one label a clip or for several.

    Each class counts the same, however many clips it has, and so do the clips of no class.

    Args:
        clips: at least one.
        multi_label: whether each class is a question of its own; else one of the classes is true.
        decay: the strength of regularisation, above 0.
    """
    # With features of one size, they are all regularised alike. The layer is then made to fit them as they are.
    mean, std = clips.features.mean(0), clips.features.std(0, correction=0).clamp(min=1e-4)
    x, classes = (clips.features - mean) / std, clips.targets.shape[1]
    weight = torch.zeros(classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    balance = _balancing_weights(clips.targets)
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, tolerance_change=TOLERANCE, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses = losses_of(x @ weight.T + bias, clips.targets, multi_label=multi_label)
        value = (balance * losses).mean() + decay / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    layer = nn.Linear(x.shape[1], classes)
    with torch.no_grad():
        layer.weight.copy_(weight / std)
        layer.bias.copy_(bias - (weight / std) @ mean)
    return layer


def _balancing_weights(targets: Tensor) -> Tensor:
    """Return weights [N] of mean 1 for targets [N,C]: of each clip, 1 / the number of clips of its rarest class."""
    several = torch.cat([targets, 1 - targets.amax(1, keepdim=True)], 1)  # no class is a class of its own
    weights = (several / several.sum(0).clamp(min=1)).amax(1)
    return weights / weights.mean()


def fit_best(clips: PooledClips, groups: Sequence[object], *, multi_label: bool) -> tuple[nn.Linear, float]:
    """Fit a linear layer with the best regularisation, and return it with its loss on these clips.

    The arguments are those of `choose_decay`.

    Raises:
        StreamcamError: there is no clip.
    """
    if not len(clips.features):
        raise StreamcamError("not one training clip can be decoded any more")
    decay = choose_decay(clips, groups, multi_label=multi_label)
    layer = fit_classifier(clips, multi_label=multi_label, decay=decay)
    with torch.no_grad():
        return layer, float(loss_of(layer(clips.features), clips.targets, multi_label=multi_label))


def choose_decay(clips: PooledClips, groups: Sequence[object], *, multi_label: bool) -> float:
    """Return the strength of regularisation that serves clips of other groups best, by cross-validation.

    Args:
        clips: to learn from.
        groups: of each clip, by its number: who or what it must not share with clips that judge it, such as a person.
        multi_label: as in `fit_classifier`.
    """
    fold_of = _folds([groups[number] for number in clips.numbers.tolist()])
    folds = [torch.from_numpy(fold_of == fold) for fold in range(int(fold_of.max()) + 1)]
    if len(folds) < 2:
        return DECAYS[len(DECAYS) // 2]
    return min(DECAYS, key=lambda d: sum(_loss_of_fold(clips, fold, d, multi_label=multi_label) for fold in folds))


def _folds(groups: Sequence[object]) -> npt.NDArray[np.int64]:
    """Return the part [N] of each clip: all clips of a group are in one, and each part has about as many groups."""
    order = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    return np.array([order[group] % MOST_FOLDS for group in groups])


@torch.no_grad()
def _loss_of_fold(clips: PooledClips, fold: Tensor, decay: float, *, multi_label: bool) -> float:
    """Return the summed loss of a part of the clips, bool [N], for a classifier that is fitted to the others."""
    others = PooledClips(clips.features[~fold], clips.targets[~fold], clips.numbers[~fold])
    with torch.enable_grad():
        layer = fit_classifier(others, multi_label=multi_label, decay=decay)
    loss = loss_of(layer(clips.features[fold]), clips.targets[fold], multi_label=multi_label)
    return float(loss) * int(fold.sum())
