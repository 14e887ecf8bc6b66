"""Running an exported graph, with all that a run writes, never imports PyTorch."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from streamcam.engines.exported.backends import RUNTIMES
from streamcam.engines.exported.graph import DATA
from tests.support.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("onnxruntime", "openvino")), reason="needs the extra export"
    ),
]

REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision"):
            raise AssertionError(f"imported {name}")
sys.meta_path.insert(0, Refuse())
"""


def run_refusing_torch(code: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"{REFUSE}sys.path.insert(0, {str(ROOT)!r})\n{code}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=cwd)


def test_the_finder_sees_an_import(tmp_path: Path) -> None:
    assert "imported torch" in run_refusing_torch("import torch", cwd=tmp_path).stderr


@pytest.mark.parametrize("backend", RUNTIMES)
def test_a_run_with_its_files_imports_no_pytorch(backend: str, tmp_path: Path) -> None:
    options = ["--max-frames", "90", "--as-fast-as-possible", "--record", "seen.mp4", "--save-heat", "heat.npz"]
    done = run_refusing_torch(
        "from streamcam.cli.main import main; main()",
        *("run", "sample", "--model", DATA / "motion.onnx", "--backend", backend, "--bind", "tcp://127.0.0.1:0"),
        *options,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "seen.mp4").stat().st_size > 0


def test_the_python_interface_imports_no_pytorch(tmp_path: Path) -> None:
    code = (
        "import streamcam\n"
        "results = streamcam.stream('sample', model=sys.argv[1], as_fast_as_possible=True, max_frames=90)\n"
        "print(sum(1 for _ in results))"
    )
    done = run_refusing_torch(code, DATA / "motion.onnx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
