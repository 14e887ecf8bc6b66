"""A virtual environment without PyTorch, as `pip install streamcam` makes it: what it does, and what it says."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.paths import ROOT
from tests.support.ports import unused_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def light() -> Path:
    """The streamcam of that environment. Its packages are kept in build/ until pyproject.toml changes."""
    key = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()[:12]
    venv = ROOT / "build" / f"light-{sys.version_info.minor}-{key}"
    if not (venv / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        install(venv, str(ROOT))
        (venv / "complete").touch()
    else:
        install(venv, "--no-deps", "--force-reinstall", str(ROOT))
    return venv / "bin" / "streamcam"


def install(venv: Path, *arguments: str) -> None:
    subprocess.run([venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *arguments], check=True)


def run(command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([command, *arguments], capture_output=True, text=True, cwd=cwd, timeout=100, check=False)


def test_there_is_no_pytorch(light: Path, tmp_path: Path) -> None:
    packages = json.loads(run(light.parent / "pip", "list", "--format=json", cwd=tmp_path).stdout)
    names = {package["name"] for package in packages}
    assert "openvino" in names
    assert not names & {"torch", "torchvision", "safetensors", "nncf", "onnx", "onnxruntime"}


def test_it_records_overlays_and_heat_and_publishes_to_a_viewer(light: Path, tmp_path: Path) -> None:
    endpoint = f"tcp://127.0.0.1:{unused_port()}"
    with subprocess.Popen([light, "view", "--print", endpoint], stdout=subprocess.PIPE, text=True) as viewer:
        try:
            outputs = ("--record", "overlay.mp4", "--save-heat", "heat.npz", "--summary-json", "summary.json")
            done = run(light, "run", "sample", "--seconds", "4", "--bind", endpoint, *outputs, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert viewer.stdout is not None
            assert "sample" in viewer.stdout.readline()
        finally:
            viewer.terminate()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["model"], summary["device"], summary["engine"]) == ("motion", "openvino", "stream")
    assert summary["results"] > 10
    with av.open(str(tmp_path / "overlay.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) > 30
    with np.load(tmp_path / "heat.npz") as heat:
        assert heat["cube"].shape[1:] == (5, 16, 28, 36)


def test_the_demo_names_things(light: Path, tmp_path: Path) -> None:
    done = run(light, "run", "--demo", "--headless", "--seconds", "4", "--summary-json", "summary.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo.mp4").stat().st_size > 10_000
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["model"], summary["results"] > 10) == ("imagenet-fast", True)


def test_models_and_doctor_say_what_is_there(light: Path, tmp_path: Path) -> None:
    models = run(light, "models", cwd=tmp_path).stdout
    assert "motion" in models
    assert "pip install 'streamcam[torch]'" in models
    assert "PyTorch: not installed" in run(light, "doctor", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "sample", "--model", "r3d_18"),
        ("run", "sample", "--engine", "window"),
        ("explain", "sample", "-o", "out"),
        ("eval", "."),
        ("train", ".", "-o", "out"),
        ("check", "."),
        ("quantize", "sample", "--model", "motion", "-o", "int8.safetensors"),
        ("export", "motion", "-o", "motion.onnx"),
        ("bench",),
        ("models", "--analyze", "motion"),
    ],
    ids=" ".join,
)
def test_what_needs_pytorch_says_so_in_one_line(light: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(light, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'streamcam[" in done.stderr
    assert list(tmp_path.iterdir()) == []
