"""How large is the page? Bytes of its files, as they are and by gzip:  python -m scripts.web.size [--json FILE]

Each file is compressed by itself, as a server does it.
"""

import argparse
import gzip
from collections import defaultdict
from pathlib import Path
from typing import Any

from scripts.benchmarks.common import table
from scripts.paths import PACKAGE
from streamcam.files import write_json

PAGE = PACKAGE / "web" / "page"
MOST_SCRIPT_BYTES = 300_000
"""Of all script by gzip: the aim."""


def sizes(folder: Path = PAGE) -> dict[str, dict[str, int]]:
    """Return, by the suffix of files, with `vendor/` before it for those of others: files, bytes, and bytes by gzip."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"files": 0, "bytes": 0, "gzip_bytes": 0})
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        own = found["vendor/" * ("vendor" in path.relative_to(folder).parts) + path.suffix.lstrip(".")]
        content = path.read_bytes()
        own["files"] += 1
        own["bytes"] += len(content)
        own["gzip_bytes"] += len(gzip.compress(content, 9))
    return dict(found)


def markdown(figures: dict[str, Any]) -> str:
    """As a table."""
    found = figures["kinds"]
    rows = [
        [kind, str(own["files"]), *(f"{own[key] / 1000:.1f} kB" for key in ("bytes", "gzip_bytes"))]
        for kind, own in sorted(found.items(), key=lambda item: -item[1]["gzip_bytes"])
    ]
    script = sum(own["gzip_bytes"] for kind, own in found.items() if kind.endswith("js"))
    rows.append([f"all script (at most {MOST_SCRIPT_BYTES // 1000} kB)", "", "", f"{script / 1000:.1f} kB"])
    return table(("kind", "files", "size", "by gzip"), rows)


def main() -> None:
    """Say it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    figures = {"kinds": sizes()}
    print(markdown(figures))
    if options.json:
        write_json(options.json, figures)


if __name__ == "__main__":
    main()
