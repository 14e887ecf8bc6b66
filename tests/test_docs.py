"""The documentation is true: links, examples, commands and configurations in it are checked or run."""

import json
import re
import shlex
import statistics
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from pydantic import BaseModel

from scripts.site import cli, config
from scripts.words import LONG, sentences_in
from streamcam.cli.main import app
from streamcam.config.groups import GroupsFile
from streamcam.config.notify import NotifyConfig
from streamcam.config.run import RunConfig
from streamcam.config.source import SourceConfig
from streamcam.config.train import TrainConfig
from streamcam.config.yaml_file import read_yaml
from streamcam.transport.messages import decode
from tests.support.paths import CONFIGS, DOCS, PACKAGE, ROOT, SAMPLE, SCRIPTS

SITE = sorted(DOCS.rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *SITE]
PYTHON_GUIDE = DOCS / "guides" / "python.md"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_changelog_begins_with_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == version


def test_commits_are_checked_by_the_ruff_that_the_tests_use() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (wanted,) = [package for package in extras["test"] if package.startswith("ruff")]
    hooks = re.findall(r'additional_dependencies: \["(.*)"\]', (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks == [wanted, wanted]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_code_names_pages_that_exist() -> None:
    files = [file for folder in (PACKAGE, SCRIPTS, CONFIGS) for file in folder.rglob("*") if file.is_file()]
    for file in files:
        if "__pycache__" in file.parts or file.suffix not in ("", ".py", ".yaml", ".service"):
            continue
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", file.read_text()):
            assert (ROOT / page).exists(), f"{name_of(file)}: {page}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_name_files_that_exist(page: Path) -> None:
    for named in re.findall(r"`((?:\w+/)*\w+\.py)`", page.read_text()):
        places = [ROOT / named, PACKAGE / named, *(ROOT / "tests").rglob(Path(named).name)]  # tests go by their name
        assert any(place.exists() for place in places), named


def test_every_page_is_in_the_navigation() -> None:
    def pages(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        for part in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
            yield from pages(part)

    navigation = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    assert sorted(pages(navigation)) == sorted(str(page.relative_to(DOCS)) for page in SITE)


def test_sentences_are_short() -> None:
    lengths = [sentence.words for page in PAGES for sentence in sentences_in(page) if sentence.words > 1]
    assert statistics.mean(lengths) <= 16
    assert sum(length > LONG for length in lengths) <= 0.03 * len(lengths)


def test_each_row_of_formats_names_a_test_that_exists() -> None:
    rows = [line for line in (DOCS / "reference" / "formats.md").read_text().splitlines() if line.startswith("| ")]
    assert rows
    for row in rows:
        what, *_, named = (cell.strip() for cell in row.strip("|").split(" | "))
        if what in ("input", "output"):
            continue
        tests = re.findall(r"`([\w/]*test_\w+\.py)::(test_\w+)`", named)
        assert tests, row
        for file, name in tests:
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(), row


def test_the_reference_has_every_command_and_every_key() -> None:
    commands = [name for name, _ in cli.commands()]
    assert {"streamcam run", "streamcam keys new"} <= set(commands)
    assert re.findall(r"^## (.*)$", cli.reference(), re.MULTILINE) == commands
    keys = re.findall(r"^\| `(\w+)` \|", config.reference(), re.MULTILINE)
    models = [model for _, _, model in config.SECTIONS]
    assert {RunConfig, SourceConfig, TrainConfig, NotifyConfig} <= set(models)
    assert keys == [field.alias or key for model in models for key, field in model.model_fields.items()]


def test_the_reference_gives_types_ranges_and_defaults() -> None:
    rows = config.reference().splitlines()
    assert any(row.startswith("| `top_k` | integer | ≥ 1, ≤ 100 | `5` |") for row in rows)
    assert any(row.startswith("| `engine` | `auto`, `window`, `stream` |  | `auto` |") for row in rows)
    assert any(row.startswith("| `classes` | text or list of text |  |  |") for row in rows)


def command_lines() -> list[Any]:
    """Every `streamcam …` in a console block of the pages."""
    found = []
    for page in PAGES:
        lines = "\n".join(blocks(page, "sh")).splitlines()
        for line in lines:
            words = shlex.split(line, comments=True)
            # What comes before the command are environment variables.
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                del words[0]
            if words[:1] == ["streamcam"]:
                found.append(pytest.param(words[1:], id=f"{name_of(page)}: {' '.join(words)}"))
    return found


@pytest.mark.parametrize("words", command_lines())
def test_commands_have_the_options_that_pages_show(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    words = list(words)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    context = command.context_class(command)
    values, rest, _ = command.make_parser(context).parse_args(words)
    missing = [p.name for p in command.params if p.required and values.get(p.name) is None]
    assert (rest, missing) == ([], [])


def configurations() -> list[Any]:
    return [
        pytest.param(GroupsFile if page.name == "imagenet.md" else RunConfig, block, id=f"{name_of(page)}: {i}")
        for page in PAGES
        for i, block in enumerate(blocks(page, "yaml"))
    ]


@pytest.mark.parametrize(("model", "block"), configurations())
def test_configurations_are_valid(model: type[BaseModel], block: str, tmp_path: Path) -> None:
    (tmp_path / "streamcam.yaml").write_text(block)
    model.model_validate(read_yaml(tmp_path / "streamcam.yaml"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_examples_are_python(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def test_the_guides_picture_shows_cat_and_cup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts.footage.readme_picture import table

    cv2.imwrite(str(tmp_path / "table.jpg"), cv2.cvtColor(table(), cv2.COLOR_RGB2BGR))
    monkeypatch.chdir(tmp_path)
    exec(blocks(PYTHON_GUIDE, "python")[0], {})
    labels = [line.rsplit(" ", 1)[0] for line in capsys.readouterr().out.splitlines()]
    assert len(labels) == 5
    assert {"Egyptian cat", "espresso"} <= set(labels)
    assert {path.stem for path in tmp_path.iterdir()} == {"table", *labels}


def test_the_guides_own_network_gives_the_shapes_that_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    exec(blocks(PYTHON_GUIDE, "python")[1], {})
    assert capsys.readouterr().out.strip() == "torch.Size([1, 4]) torch.Size([1, 4, 14, 110, 110])"


def test_the_readmes_loop_is_the_guides() -> None:
    assert blocks(ROOT / "README.md", "python") == [blocks(PYTHON_GUIDE, "python")[2]]


def test_the_readmes_loop_runs_on_the_sample(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks(ROOT / "README.md", "python")
    assert "rtsp://camera/live" in example
    exec(example.replace('"rtsp://camera/live"', '"sample", as_fast_as_possible=True'), {})
    lines = capsys.readouterr().out.strip().splitlines()
    assert "bird" in lines[0]
    assert "car" in lines[-1]


def test_the_guides_frames_become_slices(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    names = {"pictures": rng.integers(0, 255, (20, 112, 144, 3), dtype=np.uint8)}
    exec(blocks(PYTHON_GUIDE, "python")[3], names)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{11 / 15} ")
    assert lines[0].endswith("(15, 28, 36)")
    assert names["last"] == []


def test_the_guides_truth_is_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(SAMPLE.read_bytes())
    (example,) = blocks(DOCS / "guides" / "evaluation.md", "python")
    exec(example, {})
    with np.load(tmp_path / "clip.npz") as written:
        assert written["masks"].shape == (2, 3, 240, 320)
        assert list(written["labels"]) == ["cat", "cup"]


def test_the_messages_in_the_message_format_are_messages() -> None:
    example, event = blocks(DOCS / "reference" / "message-format.md", "json")
    told = decode([b"sc1/yard/event/", event.encode()]).event
    assert told is not None
    assert told.scores == {"car": 0.91, "lorry": 0.07}
    bodies = [bytes(part["nbytes"]) for part in json.loads(example)["parts"]]
    message = decode([b"sc1/door/result/", example.encode(), *bodies])
    assert message.result is not None
    assert message.result.heat is not None
    assert message.result.heat.labels == ("Egyptian cat",)
    assert message.result.heat.cube.shape == (1, 3, 7, 7)
