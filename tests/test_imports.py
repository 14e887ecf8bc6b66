"""The flow goes one way: who may import whom, and what must start without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PACKAGE

ALLOWED = {
    "errors": set(),
    "files": {"errors"},
    "records": {"errors"},
    "levels": {"records", "errors"},
    "config": {"errors", "levels"},
    "text": set(),
    "batching": set(),
    "handoff": {"batching"},
    "watchdog": {"errors"},
    "memory": set(),
    "metrics": set(),
    "no_window": {"records", "metrics"},
    "colour": {"records"},
    "orientation": {"records"},
    "sources": {"records", "errors", "levels", "colour", "orientation"},
    "card": {"records", "colour"},
    "nvdec": {"errors", "card", "sources"},
    "clips": {"records"},
    "cam": {"records", "errors"},
    "models": {"records", "errors", "files", "clips", "cam"},
    "engines": {"records", "errors", "clips", "models", "cam"},
    "localise": {"records"},
    "render": {"records", "errors", "localise", "text"},
    "sheet": {"records", "errors", "text"},
    "pictures": {"records", "errors", "files", "levels"},
    "parts": {"records"},
    "wire": {"records", "parts"},
    "keys": {"errors"},
    "transport": {"records", "errors", "parts", "wire", "keys"},
    "worker": {"records", "engines", "batching", "handoff", "watchdog"},
    "pipeline": {"records", "sources", "clips", "engines", "handoff", "metrics", "worker", "watchdog"},
    "align": {"records", "pipeline"},
    "publish": {"records", "render", "transport", "wire", "pipeline", "metrics", "sources"},
    "recorder": {"records", "errors", "pipeline", "sources", "colour"},
    "display": {"errors"},
    "viewer": {"records", "errors", "display", "wire", "transport", "render", "text"},
    "live": {
        *("records", "errors", "files", "config", "clips", "sources", "models", "engines", "render", "transport"),
        *("keys", "display", "memory", "pipeline", "metrics", "align", "publish", "recorder", "nvdec", "no_window"),
    },
    "api": {"records", "errors", "config", "handoff", "live", "metrics", "models", "pipeline", "sources"},
    "train": {
        *("records", "errors", "files", "config", "clips", "sources", "models", "engines", "render", "sheet"),
        *("recorder", "pictures", "text"),
    },
    "explain": {
        *("levels", "records", "errors", "files", "clips", "cam", "sources", "models", "engines", "localise", "render"),
        *("sheet", "pipeline", "recorder", "live", "pictures", "no_window"),
    },
    "evaluate": {
        *("records", "errors", "files", "localise", "clips", "cam", "models", "engines", "sources", "render", "sheet"),
        "pictures",
    },
    "bench": {
        *("records", "errors", "config", "clips", "sources", "models", "engines", "metrics", "live", "recorder"),
    },
    "quantize": {"records", "errors", "cam", "clips", "sources", "models", "engines"},
    "analyze": {"records", "errors", "clips", "sources", "models", "engines", "bench"},
    "doctor": {"errors", "engines", "models", "display"},
    "demo": {"errors", "display"},
    "console": {
        *("records", "errors", "metrics", "models", "pipeline", "live", "doctor", "explain", "evaluate", "train"),
        *("bench", "quantize", "analyze", "keys", "sources", "text"),
    },
}
ANYTHING = {"cli", "__init__", "__main__"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module] if node.module != "streamcam" else [f"streamcam.{a.name}" for a in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("streamcam.")}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_data_moves_one_way(path: Path) -> None:
    if room(path) not in ANYTHING:
        assert imports_of(path) - {room(path)} <= ALLOWED[room(path)]


def test_the_allowed_imports_have_no_cycle() -> None:
    done: set[str] = set()
    while left := {name for name in ALLOWED if name not in done}:
        ready = {name for name in left if ALLOWED[name] <= done}
        assert ready, f"a cycle among {left}"
        done |= ready


@pytest.mark.parametrize("module", ["wire", "transport", "render", "viewer", "demo"])
def test_a_viewer_starts_without_torch(module: str) -> None:
    heavy = "('torch', 'torchvision', 'av', 'pydantic')"
    code = f"import sys, streamcam.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


LIGHT_WINGS = ("transport", "viewer", "render", "sinks")


def test_what_shows_and_sends_results_starts_without_torch() -> None:
    paths = sorted(path for wing in LIGHT_WINGS for path in (PACKAGE / wing).rglob("*.py"))
    modules = [".".join(("streamcam", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in paths]
    code = f"""
import importlib, sys
for module in {[module.removesuffix(".__init__") for module in modules]}:
    importlib.import_module(module)
    heavy = [name for name in ("torch", "torchvision", "pydantic") if name in sys.modules]
    if heavy:
        sys.exit(f"{{module}} imports {{heavy}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_network_runs_with_torch_numpy_and_opencv_alone() -> None:
    ours = ["models", "engines", "worker", "bench.engines", "card", "analyze"]
    code = f"""
import importlib, sys
for ours in {ours}:
    importlib.import_module("streamcam." + ours)
    others = ("av", "matplotlib", "msgspec", "pydantic", "rich", "typer", "yaml", "zmq")
    print(ours, [name for name in others if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{name} []" for name in ours]


def test_the_package_offers_what_it_lists() -> None:
    import streamcam

    for name in streamcam.__all__:
        assert getattr(streamcam, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = streamcam.nothing
