"""The tests that need a GPU, which fail here instead of being skipped."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarks.common import table
from scripts.gpu.common import GpuPlan
from scripts.paths import ROOT, TESTS

MARK = "needs_cuda"
GONE = "ModuleNotFoundError: No module named "
SHOWN = 300


def measure(plan: GpuPlan) -> Iterator[dict[str, Any]]:
    """What came of each of them."""
    if importlib.util.find_spec("pytest") is None:
        yield {"absent": "pytest is not installed"}
        return
    with tempfile.TemporaryDirectory(prefix="streamcam-") as folder:
        report = Path(folder) / "report.xml"
        environment = os.environ | ({"FAIL_WITHOUT_CUDA": "1"} if plan.on_gpu else {})
        try:
            done = subprocess.run(
                command(test_files(TESTS), report),
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=None if plan.quick else plan.left_s,
            )
        except subprocess.TimeoutExpired:
            yield {"tests": [], "failed": f"the tests did not end within {plan.seconds:.0f} s"}
            return
        if not report.exists():
            yield {"tests": [], "failed": f"pytest did not run: {(done.stdout + done.stderr)[-SHOWN:]}"}
            return
        tests = outcomes(report.read_text())
    bad = [test["name"] for test in tests if test["outcome"] == "failed"]
    yield {"tests": tests} | ({"failed": f"{len(bad)} of {len(tests)} tests: {', '.join(bad)}"} if bad else {})


def test_files(folder: Path) -> list[Path]:
    """Those files alone that have such tests: others may need what is not installed."""
    return [path for path in sorted(folder.rglob("test_*.py")) if f"mark.{MARK}" in path.read_text()]


def command(files: Sequence[Path], report: Path) -> list[str]:
    """How they are run. Warnings of another machine's packages are not what is tested; our own still are errors."""
    warnings = ["-W", "default", "-W", "error:no CUDA graph:RuntimeWarning"]
    options = ["-m", MARK, "-q", "-o", "addopts=", *warnings, "-p", "no:cacheprovider"]
    if importlib.util.find_spec("pytest_timeout") is None:
        options += ["-W", "ignore:Unknown config option"]
    options += ["--continue-on-collection-errors", f"--junitxml={report}"]
    return [sys.executable, "-m", "pytest", *options, *map(str, files)]


def outcomes(report: str) -> list[dict[str, str]]:
    """pytest's report in JUnit's format → name, outcome and, if it is not `passed`, why."""
    tests = []
    for case in ElementTree.fromstring(report).iter("testcase"):
        told = {child.tag: child for child in case}
        wrong = told.get("failure", told.get("error"))
        test = {"name": case.get("name", "?"), "outcome": "passed"}
        if wrong is not None:
            text = f"{wrong.get('message', '')}\n{wrong.text or ''}"
            missing = text.partition(GONE)[2].splitlines()
            why = f"needs {missing[0]}" if missing else text.strip()[:SHOWN]
            test |= {"outcome": "not run" if missing else "failed", "why": why}
        elif "skipped" in told:
            test |= {"outcome": "skipped", "why": told["skipped"].get("message", "")}
        tests.append(test)
    return tests


def markdown(figures: dict[str, Any]) -> str:
    """As a line, and a table of those that did not pass."""
    tests = figures["tests"]
    passed = sum(test["outcome"] == "passed" for test in tests)
    others = [[t["name"], t["outcome"], " ".join(t["why"].replace("|", "/").split())] for t in tests if "why" in t]
    line = f"{passed} of {len(tests)} passed."
    return f"{line}\n\n{table(('test', 'outcome', 'why'), others)}" if others else line
