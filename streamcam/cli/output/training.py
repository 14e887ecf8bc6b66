"""What `streamcam record` and `train` show."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from streamcam.cli.output.progress import Progress, TerminalLine
from streamcam.errors import one_line
from streamcam.render.text import short
from streamcam.train.collect import RecordingStatus
from streamcam.train.dataset import Dataset
from streamcam.train.fidelity import Fidelity
from streamcam.train.metrics import EpochMetrics


class Training:
    """How training goes: a bar over all steps, and a line for each epoch."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._progress = Progress("train", unit="steps")

    def look_into(self, paths: Iterable[Path], count: int) -> Iterator[Path]:
        """Go through the files while they are looked into."""
        for done, path in enumerate(paths):
            self._progress.show(done, count)
            yield path

    def found(self, dataset: Dataset) -> None:
        """What there is to learn from, before it begins."""
        self.say(dataset.summary)

    def say(self, line: str) -> None:
        """A line for people."""
        self._progress.say(line)

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:  # noqa: ARG002
        """So many of all steps are done."""
        self._progress.show(done, total)

    def epoch(self, epoch: EpochMetrics, *, best: bool) -> None:
        """A round is complete."""
        self.say(
            f"epoch {epoch.epoch + 1} of {self._epochs}: loss {epoch.train_loss:.3f}, on the validation clips "
            f"{epoch.val_loss:.3f}, score {epoch.score:.3f}{', the best so far' if best else ''}"
        )

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.__exit__(kind, error, tb)


class Recording(TerminalLine):
    """What to do next, for somebody in front of the camera."""

    def __init__(self, label: str, count: int) -> None:
        super().__init__()
        self._label, self._count = short(label), count
        self._said = ""

    def show(self, status: RecordingStatus) -> None:
        """Count down to a clip, or to its end."""
        what = f"recording {self._label!r}" if status.recording else "get ready"
        line = f"clip {status.number} of {self._count}: {what}"
        mark = "●" if status.recording else "○"
        if not self.draw(f"{mark} {line}, {max(0.0, status.left_s):.1f} s") and line != self._said:
            print(line, file=sys.stderr, flush=True)
        self._said = line


def print_trained(checkpoint: Path, *, score: float, epochs: int) -> None:
    """What training came to, and what to do with it."""
    heat = one_line(str(checkpoint.parent / "heat.png"))
    print(f"{epochs} epochs, best score {score:.3f}: {heat} shows what was learnt")
    print(f"see it live: streamcam run 0 --model {one_line(str(checkpoint))}")


def print_quantized(checkpoint: Path, fidelity: Fidelity) -> None:
    """How far int8 is from float32, and what to do with it."""
    print(
        f"int8 against float32 on {fidelity.clips} other clips: the same class in {fidelity.top1_agreement:.0%}, heat "
        f"alike to {fidelity.heat_cosine:.3f} (cosine), logits off by {fidelity.logit_error:.1%} of the largest at most"
    )
    print(f"see it live: streamcam run 0 --model {one_line(str(checkpoint))}")
