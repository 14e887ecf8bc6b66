"""Where things are in this repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
CONFIGS, DOCS, PACKAGE, SCRIPTS = (ROOT / name for name in ("configs", "docs", "streamcam", "scripts"))
SAMPLE = PACKAGE / "data" / "sample.mp4"
SHARED = ROOT.parent / "shared"
"""Real footage, where somebody has put it beside the repository."""
