"""Rules see the heat of all classes; watchers see what they asked for."""

import numpy as np
import pytest

from streamcam.records import Heat, Result
from streamcam.sinks.base import Sink
from streamcam.sinks.shown import ShownClassesSink
from tests.support.frames import make_frame
from tests.support.heats import make_heat


class Seen(Sink):
    def __init__(self) -> None:
        self.heats: list[Heat | None] = []
        self.ticks = 0

    def on_frame(self, result: Result) -> None:
        self.heats.append(result.heat)

    def on_window(self, result: Result) -> None:
        self.heats.append(result.heat)

    def tick(self) -> None:
        self.ticks += 1


def all_classes() -> Heat:
    return make_heat(
        cube=np.arange(4, dtype=np.float32)[:, None, None, None] * np.ones((1, 3, 4, 5), np.float32),
        classes=np.array([2, 0, 3, 1]),
        labels=("c", "a", "d", "b"),
        scores=np.array([0.6, 0.2, 0.1, 0.1], np.float32),
        logits=np.array([2, 0, 4, 1], np.float32),
        scale=np.array([1, 2, 3, 4], np.float32),
    )


@pytest.mark.parametrize(
    ("top_k", "classes", "labels"),
    [(2, None, ("c", "a")), (9, None, ("c", "a", "d", "b")), (2, [1, 3], ("d", "b"))],
)
def test_the_strongest_or_the_chosen_classes_are_kept(
    top_k: int, classes: list[int] | None, labels: tuple[str, ...]
) -> None:
    seen = Seen()
    ShownClassesSink([seen], top_k=top_k, classes=classes).on_window(Result(make_frame(0), all_classes()))
    [heat] = seen.heats
    assert heat is not None
    assert heat.labels == labels
    assert [float(cube.mean()) for cube in heat.cube] == [all_classes().labels.index(label) for label in labels]
    assert heat.scale is not None
    assert heat.scale.tolist() == [all_classes().labels.index(label) + 1 for label in labels]
    assert len(heat.logits) == 4


def test_results_with_the_same_heat_share_what_was_kept() -> None:
    seen, heat = Seen(), all_classes()
    sink = ShownClassesSink([seen], top_k=1, classes=None)
    sink.on_window(Result(make_frame(0), heat))
    sink.on_frame(Result(make_frame(1), heat))
    sink.on_frame(Result(make_frame(2), None))
    sink.tick()
    assert seen.heats[0] is seen.heats[1]
    assert seen.heats[2] is None
    assert seen.ticks == 1
