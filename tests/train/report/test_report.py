"""The report of a run: one page that needs nothing else, and says which clips are wrong."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from streamcam.models.base import ModelEntry
from streamcam.models.registry import MODELS
from streamcam.train.fit import BEST, REPORT, train
from tests.support.train_small import SMALL, build_small
from tests.support.write_clip import write_clip
from tests.train.test_train import COLOURS, Silent, config_of, cut_off, picture

HOSTILE = "<script>alert(1)</script>", "a $x_{ & 'b\""
BOLD = "\"><b onload='x'>bold"


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "small", ModelEntry(SMALL, build_small))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips, eight of each of two colours."""
    folder = tmp_path_factory.mktemp("clips")
    for name, colour in COLOURS.items():
        for number in range(8):
            path = folder / name / f"{BOLD if number == 1 else number}.mp4"
            write_clip(path, [picture(number, i, colour) for i in range(8)])
    return folder


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def listing(
    path: Path, clips: Path, labels: Sequence[str], *, flipped: Sequence[str] = (), extra: Sequence[str] = ()
) -> Path:
    """Write a CSV file of the clips: the first two of each colour for validation, and a person for each two clips."""
    rows = ["path,label,split,person,start,end"]
    for i, name in enumerate(COLOURS):
        for number, file in enumerate(sorted((clips / name).iterdir(), key=lambda file: file.stem)):
            label = labels[1 - i if f"{name}/{file.stem}" in flipped else i]
            cells = str(file), label, "val" if number < 2 else "train", f"p{number // 2}"
            rows.append(",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + ",,")
    path.write_text("\n".join([*rows, *extra]))
    return path


def report_of(data: Path, out: Path, *, show: Silent | None = None, **options: object) -> Elements:
    """Fit a classifier to the features of `small` as they are, and read the report."""
    train(config_of(data, out, epochs=0, **options), show=show or Silent())
    return Elements((out / REPORT).read_text(encoding="utf-8"))


def test_the_page_needs_nothing_else_and_names_in_it_are_text(clips: Path, tmp_path: Path) -> None:
    page = report_of(listing(tmp_path / "clips.csv", clips, HOSTILE), tmp_path / "<i>run")
    assert {"script", "b", "i", "link", "iframe"} & {tag for tag, _ in page.elements} <= {"b", "i"}
    assert all("onload" not in attrs for _, attrs in page.elements)
    for name in (*HOSTILE, BOLD, "<i>run"):
        assert name in page.text
    sources = [str(attrs["src"]) for attrs in page.of("img")]
    assert len(sources) > 30
    assert all(source.startswith(("data:image/jpeg;base64,", "data:image/svg+xml;base64,")) for source in sources)
    assert all(str(attrs["href"]).startswith("#") for attrs in page.of("a"))
    ids = {attrs.get("id") for _, attrs in page.elements}
    assert {str(attrs["href"])[1:] for attrs in page.of("a")} <= ids
    # It is known who is in the clips.
    assert "on somebody whom it has not learnt from: p0" in page.text
    assert "Would more people help?" in page.text


def test_a_clip_with_a_wrong_label_is_the_first_that_may_be_wrong(clips: Path, tmp_path: Path) -> None:
    cut_off(tmp_path / "cut.mp4")  # so that two clips cannot be decoded
    extra = "cut.mp4,red,train,p9,6,7.5", "cut.mp4,red,val,p0,5,5.5"
    data = listing(tmp_path / "clips.csv", clips, ("red", "blue"), flipped=["red/5"], extra=extra)
    page = report_of(data, tmp_path / "x")
    first = page.text.split("Which labels may be wrong?")[1].split("Its label is")[:2]
    assert "red/5.mp4" in first[0]
    assert re.match(r" “blue”.*takes it for “red” \(\d+ %\), so its label may be wrong", first[1])
    assert "1 of 12 training clips may be wrongly labelled." in page.text
    assert "That was asked of each of 12 of the 13 training clips." in page.text
    assert "on 4 validation clips" in page.text


def test_of_several_labels_each_has_its_precision(clips: Path, tmp_path: Path) -> None:
    rows = ["path,label"]
    for name in COLOURS:
        for file in sorted((clips / name).glob("?.mp4")):
            rows += [f"{file},{label}" for label in (name, "any")]
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    page = report_of(tmp_path / "clips.csv", tmp_path / "x", multi_label=True)
    assert "average precision" in page.text
    assert "It is “any” + “" in page.text
    assert "Confusion" not in str(page.of("img"))


def test_a_run_that_was_killed_at_its_report_writes_it_when_resumed(clips: Path, tmp_path: Path) -> None:
    class Dying(Silent):
        def look_at(self, done: int, count: int) -> None:
            if self.epochs:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report_of(clips, tmp_path / "x", show=Dying())
    assert not (tmp_path / "x" / REPORT).exists()
    checkpoint = (tmp_path / "x" / BEST).read_bytes()
    page = report_of(clips, tmp_path / "x", show=Silent(), resume=True)
    assert "Would more clips help?" in page.text
    assert "Would more people help?" not in page.text
    assert "Not known. The same person may be in training and validation clips" in page.text
    assert (tmp_path / "x" / BEST).read_bytes() == checkpoint
