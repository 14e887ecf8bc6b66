"""The measure of sentences: what is prose in code and pages, and where a sentence ends."""

import doctest
import subprocess
import sys
from pathlib import Path

from scripts import words
from tests.support.paths import ROOT

DOCSTRING = """Read frames. Take the newest.

    for frame in source:
        show(frame)

Args:
    source: a camera, e.g. a webcam.
        It is opened at once.

The end comes late.
"""

SOURCE = """#!/usr/bin/env python
# One thought over
# two lines.
x = 1  # noqa: E741
y = 2  # Another one.
# A third.
"""


def test_the_examples_hold() -> None:
    assert doctest.testmod(words).failed == 0


def test_code_in_a_docstring_is_no_prose_and_entries_are() -> None:
    assert list(words.prose_of(DOCSTRING)) == [
        "Read frames.",
        "Take the newest.",
        "Args:",
        "a camera, e.g. a webcam.",
        "It is opened at once.",
        "The end comes late.",
    ]


def test_comments_on_consecutive_lines_are_one() -> None:
    assert list(words.comments(SOURCE)) == [(2, "One thought over two lines."), (5, "Another one."), (6, "A third.")]


def test_tables_headings_and_code_of_a_page_do_not_count(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading\n\nOne sentence.\n\n```\ncode = 1\n```\n\n| a | b |\n\n- An item.\n- Another item.\n")
    assert [sentence.text for sentence in words.sentences_in(page)] == ["One sentence.", "An item.", "Another item."]


def test_a_place_that_does_not_exist_is_one_line_and_code_2() -> None:
    command = [sys.executable, "-m", "scripts.words", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (2, "no such file or folder: nowhere\n")
