"""The folders of this repository that programs read or write."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS, PACKAGE, TESTS = (ROOT / name for name in ("docs", "streamcam", "tests"))
