"""Measure how long the sentences of docstrings, comments and documents are.

    python -m scripts.words [FOLDER…] [--longest 20]

A sentence ends at a full stop, question mark or exclamation mark, or with its paragraph, list item or `Args` entry.
Code blocks, tables, headings and doctests do not count. Words are runs of letters and digits.
"""

import argparse
import ast
import inspect
import io
import re
import statistics
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONG = 30
"""Hardly any sentence should have more words."""

DEFAULT = ("README.md", "docs", "streamcam", "scripts", "tests")
WORD = re.compile(r"[^\W_][\w'’.-]*")
END = re.compile(r"(?<=[.!?])[)\"'`*”]*\s+(?=[A-Z`\"'(*_0-9–‘“])")
NO_END = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|et al|Fig|Eq|approx)\.")
ITEM = re.compile(r"\s*([-*+]|\d+\.)\s+")
SECTION = re.compile(r"(Args|Raises|Returns|Yields):$")
NOT_PROSE = re.compile(r"#!|# (noqa|type:|fmt:)|#\s*$")
ENTRY = re.compile(r"\s+[\w*]+(\.\w+)*:\s")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, and where it stands."""

    place: str
    text: str

    @property
    def words(self) -> int:
        """How many words it has."""
        return len(WORD.findall(self.text))


def split_sentences(paragraph: str) -> list[str]:
    """Split one paragraph.

    >>> split_sentences("Read a file. It may be large, e.g. a film. Why?")
    ['Read a file.', 'It may be large, e.g. a film.', 'Why?']
    """
    kept = NO_END.sub(lambda m: m[0].replace(".", "\0"), " ".join(paragraph.split()))
    return [part.replace("\0", ".") for part in END.split(kept) if part.strip()]


def paragraphs(text: str) -> Iterator[str]:
    """Yield what is prose in a docstring or a page: paragraphs, list items and entries of `Args`."""
    lines: list[str] = []
    fenced = False
    for line in [*text.splitlines(), ""]:
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        breaks = not line.strip() or fence or fenced or line.lstrip().startswith(("|", "#", ">>>", "<!--", "!["))
        if breaks or ITEM.match(line) or ENTRY.match(line):
            if lines:
                yield " ".join(lines)
            lines = []
        if not breaks:
            lines.append(ITEM.sub("", ENTRY.sub("", line) if ENTRY.match(line) else line, count=1))


def prose_of(docstring: str) -> Iterator[str]:
    """Yield the sentences of a docstring.

    Indented blocks are code and drawings, but for the entries of `Args`, `Raises` and the like.
    """
    lines = []
    in_section = False
    for line in inspect.cleandoc(docstring).splitlines():
        indented = line.startswith("    ")
        if line and not indented:
            in_section = SECTION.match(line) is not None
        lines.append("" if indented and not in_section else line)
    for paragraph in paragraphs("\n".join(lines)):
        yield from split_sentences(paragraph)


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield every string that stands alone as a statement, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield every comment with its line; comments alone on consecutive lines are one."""
    blocks: list[tuple[int, list[str]]] = []
    last_alone = 0  # the line of the comment before, where that is alone on its line
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or NOT_PROSE.match(token.string):
            continue
        line, text = token.start[0], token.string.partition("  #")[0].lstrip("# ")
        alone = token.line.lstrip().startswith("#")
        if alone and blocks and last_alone == line - 1:
            blocks[-1][1].append(text)
        else:
            blocks.append((line, [text]))
        last_alone = line if alone else 0
    for line, texts in blocks:
        yield line, " ".join(texts)


def sentences_in(path: Path) -> Iterator[Sentence]:
    """Yield the sentences of a Python file or a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from (Sentence(str(path), s) for p in paragraphs(text) for s in split_sentences(p))
        return
    for line, string in docstrings(text):
        yield from (Sentence(f"{path}:{line}", s) for s in prose_of(string))
    for line, comment in comments(text):
        yield from (Sentence(f"{path}:{line}", s) for s in split_sentences(comment))


def files_in(place: Path) -> list[Path]:
    """List the Python files and pages of a folder, or the file itself."""
    if place.is_file():
        return [place]
    return sorted(path for path in place.rglob("*") if path.suffix in (".py", ".md"))


def main() -> int:
    """Print one row for each place, and the longest sentences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", type=Path, default=[Path(name) for name in DEFAULT])
    parser.add_argument("--longest", type=int, default=0, metavar="N", help="print the N longest sentences")
    arguments = parser.parse_args()
    missing = [str(place) for place in arguments.places if not place.exists()]
    if missing:
        print(f"no such file or folder: {', '.join(missing)}", file=sys.stderr)
        return 2
    found: list[Sentence] = []
    print(f"{'place':24} {'sentences':>9} {'mean':>5} {'median':>6} {f'over {LONG}':>7}")
    for place in arguments.places:
        here = [sentence for path in files_in(place) for sentence in sentences_in(path) if sentence.words > 1]
        lengths = [sentence.words for sentence in here] or [0]
        over = sum(length > LONG for length in lengths) / len(lengths)
        print(
            f"{place!s:24} {len(here):9} {statistics.mean(lengths):5.1f} {statistics.median(lengths):6.0f} {over:7.1%}"
        )
        found += here
    for sentence in sorted(found, key=lambda s: -s.words)[: arguments.longest]:
        print(f"\n{sentence.place}: {sentence.words} words\n  {sentence.text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
