"""Shows the progress of `streamcam train`, and prints its results and those of `quantize`."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.markup import escape
from rich.table import Table

from streamcam.cli.output.progress import Progress
from streamcam.cli.output.tables import table_console
from streamcam.errors import one_line
from streamcam.models.graph_card import GraphCard
from streamcam.render.text import short
from streamcam.train.check.findings import Findings
from streamcam.train.check.run import FIGURES, SHEET
from streamcam.train.data.annotations import first_few
from streamcam.train.data.dataset import Dataset
from streamcam.train.fidelity import Fidelity
from streamcam.train.metrics import EpochMetrics, background_line


class Training:
    """The progress of a training: a bar over all steps, and a line for each epoch."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._progress = Progress("train", unit="steps")

    def look_into(self, paths: Iterable[Path], count: int) -> Iterator[Path]:
        """Yield the files, and show how many of them have been examined."""
        return self._progress.each(paths, count)

    def look_at(self, done: int, count: int) -> None:
        """Show that `done` of `count` clips have been looked at."""
        self._progress.show(done, count)

    def found(self, dataset: Dataset) -> None:
        """Print the size of the data set, and how it is divided."""
        self.say(dataset.summary)
        self.say(dataset.validation)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.say(line)

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:  # noqa: ARG002
        """Show that `done` of `total` steps are done."""
        self._progress.show(done, total)

    def epoch(self, epoch: EpochMetrics, *, best: bool) -> None:
        """Print the figures of an epoch."""
        stage = f"epoch {epoch.epoch} of {self._epochs}" if epoch.epoch else "features as they are"
        named = epoch.background_named
        self.say(
            f"{stage}: loss {epoch.train_loss:.3f}, on the validation clips "
            f"{epoch.val_loss:.3f}, score {epoch.score:.3f}{'' if named is None else f', {background_line(named)}'}"
            f"{', the best so far' if best else ''}"
        )

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.__exit__(kind, error, tb)


def print_findings(findings: Findings, folder: Path) -> None:
    """Print what the clips of each class are like, notes, and then warnings."""
    table_console().print(_classes(findings), highlight=False)
    for note in findings.notes:
        print(f"note: {one_line(note)}")
    print(f"{FIGURES} and {SHEET} in {one_line(str(folder))}")
    for warning in findings.warnings:
        print(f"warning: {one_line(warning)}")


def _classes(findings: Findings) -> Table:
    table = Table()
    for column in ("class", "training", "validation", "files", "seconds", "shortest", "median", "longest"):
        table.add_column(column, justify="left" if column == "class" else "right")
    table.add_column("frames a second")
    table.add_column("picture size")
    for facts in findings.facts:
        counts = facts.train, facts.val, facts.files, f"{facts.seconds:.1f}"
        lengths = (f"{length_s:.2f} s" for length_s in facts.lengths_s)
        values = (_most_frequent(counted) for counted in (facts.fps, facts.sizes))
        table.add_row(escape(one_line(short(facts.name))), *map(str, counts), *lengths, *values)
    return table


def _most_frequent(counted: Mapping[str, int]) -> str:
    """List values with how many clips have them; where all have the same, without."""
    return ", ".join(counted) if len(counted) == 1 else first_few(f"{n} × {value}" for value, n in counted.items())


def print_trained(checkpoint: Path, *, score: float, epochs: int) -> None:
    """Print the score of a trained network, and how to use it."""
    report = one_line(str(checkpoint.parent / "report.html"))
    print(f"{epochs} epochs, best score {score:.3f}: {report} shows what was learnt")
    print(f"see it live: streamcam run 0 --model {one_line(str(checkpoint))}")


def print_quantized(checkpoint: Path, fidelity: Fidelity) -> None:
    """Print how far int8 is from float32, and how to use the checkpoint."""
    print(
        f"int8 against float32 on {fidelity.clips} other clips: the same class in {fidelity.top1_agreement:.0%}, heat "
        f"alike to {fidelity.heat_cosine:.3f} (cosine), logits off by {fidelity.logit_error:.1%} of the largest at most"
    )
    print(f"see it live: streamcam run 0 --model {one_line(str(checkpoint))}")


def print_exported(graph: Path, card: GraphCard) -> None:
    """Print how far a graph is from PyTorch, and how to use it."""
    print(
        f"{card.precision} against float32 of PyTorch: heat off by {card.distance:.1e} of the largest at most, the "
        f"same class in {card.agreement:.0%} of clips"
    )
    print(f"see it live: streamcam run 0 --model {one_line(str(graph))}")
