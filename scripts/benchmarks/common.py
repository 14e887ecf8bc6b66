"""What all points share: how long they have, who can take part, and how figures are written."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torchvision.models.video import VideoResNet, r3d_18

from streamcam.bench.measure import Spread, Turn, alternate
from streamcam.engines.device.hardware import cpu_has_bf16
from streamcam.models.base import CamModel
from streamcam.models.split import split
from streamcam.models.torchvision import MODELS

PRECISIONS = ("fp32", "bf16") if cpu_has_bf16() else ("fp32",)
"""What this machine computes natively."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How long a point may take, from when it is made, and how many rounds there are at the least."""

    seconds: float
    min_rounds: int
    say: Say
    _begin_s: float = field(default_factory=time.perf_counter)

    @property
    def left_s(self) -> float:
        """What is left of the time."""
        return max(0.0, self.seconds - (time.perf_counter() - self._begin_s))

    def alternate(self, turns: Mapping[str, Turn], *, share: float = 1.0) -> dict[str, list[float]]:
        """Let methods take turns for a share of the time that is left."""
        return alternate(turns, seconds=share * self.left_s, min_rounds=self.min_rounds)


def those_that_work(builders: Mapping[str, Callable[[], Turn]], say: Say) -> tuple[dict[str, Turn], dict[str, str]]:
    """Build methods and let each take a turn. Return those that can, and why the others cannot."""
    turns: dict[str, Turn] = {}
    absent: dict[str, str] = {}
    for name, build in builders.items():
        try:
            turn = build()
            turn()
        except Exception as e:  # another tool may fail in any way, and the rest is measured all the same
            absent[name] = f"{type(e).__name__}: {e}"
            say(f"{name} does not run: {absent[name]}")
        else:
            turns[name] = turn
    return turns, absent


def random_r3d() -> VideoResNet:
    """r3d_18 with random weights, the same each time. What it costs does not depend on them."""
    torch.manual_seed(0)
    return r3d_18().eval()


def r3d_model(network: VideoResNet | None = None, *, length: int = 16, fps: float = 15.0) -> CamModel:
    """It as one of ours, for clips of `length` frames."""
    spec = MODELS["r3d_18"].spec
    clip_format = replace(spec.clip_format, length=length, fps=fps)
    return CamModel.from_split(replace(spec, clip_format=clip_format), split(network or random_r3d()))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: the first column at the left, the others at the right."""
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def spread(values: Mapping[str, float] | Spread, form: str = ".1f", unit: str = "") -> str:
    """Median and quartiles: 12.3 (12.1–12.9) ms."""
    median, low, high = (
        (values.median, values.low, values.high)
        if isinstance(values, Spread)
        else (values["median"], values["low"], values["high"])
    )
    return f"{median:{form}} ({low:{form}}–{high:{form}}){unit}"


def not_run(absent: Mapping[str, str], columns: int) -> list[list[str]]:
    """Rows of those that could not take part."""
    return [[name, f"not run: {reason}", *[""] * (columns - 2)] for name, reason in absent.items()]
