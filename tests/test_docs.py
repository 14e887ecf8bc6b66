"""What the documents say holds."""

import json
import re
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamcam.transport.messages import decode
from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_changelog_begins_with_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == version


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_each_row_of_formats_names_a_test_that_exists() -> None:
    rows = [line for line in (ROOT / "docs" / "formats.md").read_text().splitlines() if line.startswith("| ")]
    for row in rows:
        what, *_, named = (cell.strip() for cell in row.strip("|").split(" | "))
        if what in ("input", "output"):
            continue
        tests = re.findall(r"`([\w/]*test_\w+\.py)::(test_\w+)`", named)
        assert tests, row
        for file, name in tests:
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(), row


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_examples_are_python(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def test_the_readmes_first_example_finds_cat_and_cup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts.footage.readme_picture import table

    cv2.imwrite(str(tmp_path / "table.jpg"), cv2.cvtColor(table(), cv2.COLOR_RGB2BGR))
    monkeypatch.chdir(tmp_path)
    exec(blocks(ROOT / "README.md", "python")[0], {})
    labels = [line.rsplit(" ", 1)[0] for line in capsys.readouterr().out.splitlines()]
    assert len(labels) == 5
    assert {"Egyptian cat", "espresso"} <= set(labels)
    assert {path.stem for path in tmp_path.iterdir()} == {"table", *labels}


def test_the_readmes_own_network_gives_the_shapes_that_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    exec(blocks(ROOT / "README.md", "python")[1], {})
    assert capsys.readouterr().out.strip() == "torch.Size([1, 4]) torch.Size([1, 4, 14, 110, 110])"


def test_the_readmes_loop_runs_on_the_sample(capsys: pytest.CaptureFixture[str]) -> None:
    example = blocks(ROOT / "README.md", "python")[2]
    assert "rtsp://camera/live" in example
    exec(example.replace('"rtsp://camera/live"', '"sample", as_fast_as_possible=True'), {})
    lines = capsys.readouterr().out.strip().splitlines()
    assert "Egyptian cat" in lines[0]
    assert "espresso" in lines[-1]


def test_the_readmes_frames_become_slices(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    names = {"pictures": rng.integers(0, 255, (20, 112, 144, 3), dtype=np.uint8)}
    exec(blocks(ROOT / "README.md", "python")[3], names)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{8 / 15} ")
    assert lines[0].endswith("(15, 28, 36)")
    assert names["last"] == []


def test_the_message_in_the_wire_format_is_one() -> None:
    (example,) = blocks(ROOT / "docs" / "wire.md", "json")
    bodies = [bytes(part["nbytes"]) for part in json.loads(example)["parts"]]
    message = decode([b"sc1/door/result/", example.encode(), *bodies])
    assert message.result is not None
    assert message.result.heat is not None
    assert message.result.heat.labels == ("Egyptian cat",)
    assert message.result.heat.cube.shape == (1, 3, 7, 7)
