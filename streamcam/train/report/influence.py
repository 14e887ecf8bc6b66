"""Which training clips do harm: what the validation loss would be without each, by influence functions.

Koh & Liang, *Understanding Black-box Predictions via Influence Functions*, ICML 2017, for a regularised logistic
regression on fixed features. Its loss is convex, so the approximation holds there; through a deep network it often
does not (Basu et al., ICLR 2021).
"""

import numpy as np
import numpy.typing as npt

from streamcam.records import Floats
from streamcam.train.metrics import probabilities_of

Doubles = npt.NDArray[np.float64]

MOST_ITERATIONS = 1000
TOLERANCE = 1e-6
"""Of the linear system's solution, relative to its right side."""


def harm(
    features: Floats,
    targets: Floats,
    val_features: Floats,
    val_targets: Floats,
    *,
    weight: Floats,
    bias: Floats,
    decay: float,
    multi_label: bool,
) -> Doubles:
    """Return for each training clip how much the mean validation loss would fall without it, float64 [N].

    The classifier minimises the mean loss of the training clips + decay / 2 · |weight|². Without clip i its weights
    change by about H⁻¹ gᵢ / N, with the Hessian H and the gradient gᵢ of the clip's loss. The validation loss changes
    by the product of that with its own gradient. So one linear system serves all clips.

    Args:
        features: float32 [N,K], of the training clips; of mean 0, so that the system is well conditioned.
        targets: float32 [N,C]: 1 for each class that a clip shows, else 0.
        val_features: float32 [M,K], of the validation clips.
        val_targets: float32 [M,C].
        weight: float32 [C,K], of the classifier.
        bias: float32 [C].
        decay: the strength of regularisation, above 0.
        multi_label: whether each class is a question of its own; else a clip has one class.
    """
    parameters = np.column_stack([weight, bias]).astype(np.float64)
    inputs, val_inputs = (np.column_stack([x, np.ones(len(x))]) for x in (features, val_features))
    scores, slopes = _derivatives(inputs @ parameters.T, targets, multi_label)
    _, val_slopes = _derivatives(val_inputs @ parameters.T, val_targets, multi_label)
    gradient = val_slopes.T @ val_inputs / len(val_inputs)
    solved = _solve(gradient, inputs, scores, decay=decay, multi_label=multi_label)
    return np.asarray(-np.sum((inputs @ solved.T) * slopes, axis=1) / len(inputs))


def _derivatives(logits: Doubles, targets: Floats, multi_label: bool) -> tuple[Doubles, Doubles]:
    """Return the probabilities of clips, and the derivatives of their losses by their logits, both [N,C]."""
    scores = probabilities_of(logits, multi_label=multi_label)
    # The loss of a clip is the mean over its questions, of which there is one unless it may have several labels.
    return scores, (scores - targets) / (targets.shape[1] if multi_label else 1)


def _solve(right: Doubles, inputs: Doubles, scores: Doubles, *, decay: float, multi_label: bool) -> Doubles:
    """Return H⁻¹ times `right`, both [C,K+1], by conjugate gradients: H itself may not fit into memory."""

    def times_hessian(vector: Doubles) -> Doubles:
        change = scores * (inputs @ vector.T)
        # The derivative of the softmax is diag(p) − p pᵀ, that of the mean of C sigmoids diag(p (1 − p)) / C.
        change = change * (1 - scores) / len(vector) if multi_label else change - scores * change.sum(1, keepdims=True)
        product = change.T @ inputs / len(inputs)
        product[:, :-1] += decay * vector[:, :-1]  # the bias costs nothing
        return np.asarray(product)

    # Hestenes & Stiefel (1952). Adding the same to every bias changes no probability, so H is singular there. But
    # `right` has no part in that direction, and so no step has.
    solution, residual = np.zeros_like(right), right.copy()
    direction, square = residual, np.vdot(residual, residual)
    least = TOLERANCE**2 * square
    for _ in range(MOST_ITERATIONS):
        if square <= least:
            break
        product = times_hessian(direction)
        step = square / np.vdot(direction, product)
        solution, residual = solution + step * direction, residual - step * product
        before, square = square, np.vdot(residual, residual)
        direction = residual + square / before * direction
    return solution
