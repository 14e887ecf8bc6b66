"""The examples of exported graphs: the page shows the files that are run, and Python's answers as streamcam does."""

import re
from pathlib import Path

import pytest

from scripts.examples.__main__ import compare
from scripts.examples.frames import Answer, prepare_frames, streamcam_answers
from scripts.examples.native import run_python
from tests.support.paths import DOCS, PACKAGE, SCRIPTS


@pytest.mark.parametrize(
    ("language", "name"), [("python", "clip_top.py"), ("cpp", "clip_top.cpp"), ("html", "clip_top.html")]
)
def test_the_page_shows_the_example_that_is_run(language: str, name: str) -> None:
    shown = re.findall(rf"```{language}\n(.*?)```", (DOCS / "export.md").read_text(), re.DOTALL)
    assert shown == [(SCRIPTS / "examples" / name).read_text()]


def test_python_answers_as_streamcam_does(tmp_path: Path) -> None:
    graph = PACKAGE / "data" / "motion.onnx"
    prepared = prepare_frames(graph)
    fits, line = compare(run_python(graph, prepared, tmp_path), streamcam_answers(graph, prepared))
    assert fits, line


def test_an_answer_that_differs_or_is_missing_does_not_fit() -> None:
    expected = {3: Answer("dog", 0.5)}
    assert compare({3: Answer("dog", 0.5)}, expected)[0]
    assert not compare({3: Answer("cat", 0.5)}, expected)[0]
    assert not compare({3: Answer("dog", 0.51)}, expected)[0]
    assert not compare({}, expected)[0]
