"""Which folders may import which, and which modules must start without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import PACKAGE

VOCABULARY = {"child", "errors", "files", "records", "event", "clips", "metrics", "strict"}
"""Single files that every wing may import."""

ALLOWED = {
    "child": set(),
    "errors": set(),
    "files": {"errors"},
    "strict": set(),
    "records": {"errors"},
    "event": set(),
    "clips": {"records"},
    "metrics": {"records"},
    "cvat": {"errors"},
    "sources": VOCABULARY,
    "config": {"errors", "strict", "sources"},
    "gpu": VOCABULARY | {"sources"},
    "heat": VOCABULARY,
    "models": VOCABULARY | {"heat"},
    "engines": VOCABULARY | {"heat", "models"},
    "render": VOCABULARY | {"heat", "sources"},
    "transport": VOCABULARY,
    "monitoring": VOCABULARY | {"sources"},
    "sinks": VOCABULARY | {"render", "transport", "sources"},
    "events": VOCABULARY | {"config", "heat", "render", "sinks", "sources"},
    "viewer": VOCABULARY | {"render", "transport"},
    "notify": VOCABULARY | {"config", "events", "transport"},
    "web": VOCABULARY | {"config", "events", "render", "sources", "transport"},
    "runtime": VOCABULARY
    | {"config", "sources", "gpu", "heat", "models", "engines", "render", "transport", "sinks", "events", "viewer"}
    | {"monitoring", "notify"},
    "explain": VOCABULARY | {"config", "sources", "heat", "models", "engines", "render", "sinks", "runtime"},
    "evaluate": VOCABULARY | {"cvat", "config", "sources", "heat", "models", "engines", "render"},
    "bench": VOCABULARY | {"config", "sources", "heat", "models", "engines", "sinks", "runtime"},
    "train": VOCABULARY | {"cvat", "config", "sources", "heat", "models", "engines", "render", "sinks"},
    "export": VOCABULARY | {"sources", "heat", "models", "engines", "train"},
    "api": VOCABULARY | {"config", "sources", "models", "sinks", "runtime"},
}
"""What each wing may import, from the bottom floor to the top. To add an arrow is to change the plan of the house."""

ANYTHING = {"cli", "__init__", "__main__"}


def wing(path: Path) -> str:
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
    if wing(path) not in ANYTHING:
        assert imports_of(path) - {wing(path)} <= ALLOWED[wing(path)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_wing_is_entered_by_its_modules(path: Path) -> None:
    """An `__init__` that imports would make every module of its folder as slow to import as the slowest."""
    if path.parent != PACKAGE:
        assert imports_of(path) == set()


def test_the_allowed_imports_have_no_cycle() -> None:
    done: set[str] = set()
    while left := {name for name in ALLOWED if name not in done}:
        ready = {name for name in left if ALLOWED[name] <= done}
        assert ready, f"a cycle among {left}"
        done |= ready


@pytest.mark.parametrize(
    "module", ["transport.messages", "transport.subscriber", "render.overlay", "viewer.window", "cli.demo"]
)
def test_a_viewer_starts_without_torch(module: str) -> None:
    heavy = "('torch', 'torchvision', 'av', 'pydantic')"
    code = f"import sys, streamcam.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("wings", "heavy"),
    [
        (("transport", "viewer", "render", "sinks"), ("torch", "torchvision", "pydantic")),
        (("web", "notify", "monitoring"), ("torch", "torchvision")),
        (("config", "events", "sources", "engines/exported"), ("torch", "torchvision")),
        (("runtime/app.py", "runtime/graph_network.py", "api.py", "cli/commands"), ("torch", "torchvision")),
    ],
)
def test_what_needs_no_torch_starts_without_it(wings: tuple[str, ...], heavy: tuple[str, ...]) -> None:
    places = [PACKAGE / wing for wing in wings]
    paths = sorted(path for place in places for path in ([place] if place.suffix else place.rglob("*.py")))
    modules = [".".join(("streamcam", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in paths]
    code = f"""
import importlib, sys
for module in {[module.removesuffix(".__init__") for module in modules]}:
    importlib.import_module(module)
    heavy = [name for name in {heavy} if name in sys.modules]
    if heavy:
        sys.exit(f"{{module}} imports {{heavy}}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_network_runs_with_torch_numpy_and_opencv_alone() -> None:
    ours = ["models.registry", "engines.backends", "runtime.worker", "bench.engines", "gpu.image", "bench.temporal"]
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
