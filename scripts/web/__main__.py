"""All measurements of the page in one run of about twelve minutes. Close everything else first.

    python -m venv peers && peers/bin/pip install vidgear flask opencv-python-headless simplejpeg uvicorn starlette
    python -m scripts.web --peers peers/bin/python [--only NAME,NAME] [--quick] [--json FILE] [--markdown FILE]

Names: size, glass, peers, load. Each is a module that can be run by itself. What cannot be measured says why.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.benchmarks.pages import filled, some_of
from streamcam.bench.run import processor_name
from streamcam.files import write_json

POINTS = ("size", "glass", "peers", "load")
QUICK: dict[str, tuple[str, ...]] = {
    "glass": ("--rounds", "1", "--seconds", "4"),
    "peers": ("--rounds", "1", "--seconds", "4"),
    "load": ("--clients", "10", "--slow", "2", "--stopped", "2", "--seconds", "4"),
}
LONGEST_S = 600
PACKAGES = ("streamcam", "starlette", "uvicorn", "websockets", "pyzmq")
CHROMIUM = "/usr/bin/chromium"


def main() -> None:
    """Measure, and write what was asked for."""
    options = parse()
    results: dict[str, Any] = {"machine": machine(), "points": {}}
    for name in options.only:
        print(f"{name}, at a load of {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
        results["points"][name] = measured(name, options)
        print(f"\n## {name}\n\n{as_markdown(name, results['points'][name])}", flush=True)
        if options.json:  # after each, so that nothing is lost
            write_json(options.json, results)
    if options.markdown:
        parts = {f"web-{name}": as_markdown(name, figures) for name, figures in results["points"].items()}
        parts["web-machine"] = machine_text(results["machine"])
        options.markdown.write_text(filled(options.markdown.read_text(), parts))


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=some_of(POINTS), default=POINTS, metavar="NAME[,NAME…]", help=", ".join(POINTS))
    parser.add_argument("--peers", type=Path, help="the interpreter of the environment with the other tools")
    parser.add_argument("--quick", action="store_true", help="a short round of each: does it work?")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, help="replace the tables in this page, each between its marks")
    return parser.parse_args()


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """A point's figures; or why there are none."""
    if name == "peers" and options.peers is None:
        return {"failed": "no environment with the other tools was named (--peers)"}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "figures.json")
        arguments = [
            *([str(options.peers)] if name == "peers" else []),
            *(QUICK.get(name, ()) if options.quick else ()),
        ]
        command = [sys.executable, "-m", f"scripts.web.{name}", *arguments, "--json", str(file)]
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=LONGEST_S)
            figures: dict[str, Any] = json.loads(file.read_text())
        except (OSError, subprocess.SubprocessError) as e:  # the others are measured all the same
            return {"failed": f"{type(e).__name__}: {e}"}
    return figures | {"load_before": round(load, 2)}


def as_markdown(name: str, figures: dict[str, Any]) -> str:
    """A point's table; or why there is none."""
    if "failed" in figures:
        return f"not run: {figures['failed']}"
    text: str = importlib.import_module(f"scripts.web.{name}").markdown(figures)
    return text


def machine() -> dict[str, Any]:
    """What it is measured on, and with."""
    try:
        done = subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=True, timeout=30)
        chromium = " ".join(done.stdout.split()[:2])
    except (OSError, subprocess.SubprocessError):
        chromium = "no Chromium"
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": {name: version(name) for name in PACKAGES},
        "python": sys.version.split()[0],
        "browser": chromium,
    }


def machine_text(where: dict[str, Any]) -> str:
    """The same as a sentence."""
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    return f"{where['processor']}, {where['cores']} cores; Python {where['python']}, {versions}; {where['browser']}."


if __name__ == "__main__":
    main()
