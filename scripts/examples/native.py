"""Runs the examples in Python and in C++."""

import shutil
import subprocess
import sys
from pathlib import Path

from scripts.examples.frames import Answers, Prepared, parse_answers
from scripts.examples.unavailable import UnavailableError

HERE = Path(__file__).parent
TIMEOUT_S = 300
NEEDED = (
    "Debian 13: libonnxruntime-dev and nlohmann-json3-dev; elsewhere: --onnxruntime FOLDER, of ONNX Runtime's archive"
)


def run_python(graph: Path, prepared: Prepared, folder: Path) -> Answers:
    """Run the example in Python. `folder` gets its frames."""
    return _answers([sys.executable, str(HERE / "clip_top.py")], graph, prepared, folder)


def run_cpp(graph: Path, prepared: Prepared, folder: Path, *, onnxruntime: Path | None = None) -> Answers:
    """Compile and run the example in C++.

    Args:
        graph: the .onnx file.
        prepared: its frames.
        folder: for the program and the frames.
        onnxruntime: a folder with `include` and `lib`; None asks pkg-config.

    Raises:
        UnavailableError: there is no compiler, header or library.
    """
    program = folder / "clip_top"
    if shutil.which("g++") is None:
        raise UnavailableError("g++ is not installed")
    flags = _pkg_config() if onnxruntime is None else _flags_of(onnxruntime.resolve())
    command = [
        "g++",
        "-std=c++17",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        str(HERE / "clip_top.cpp"),
        "-o",
        str(program),
    ]
    compiled = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if "No such file or directory" in compiled.stderr:
        raise UnavailableError(f"a header is missing ({NEEDED})")
    if compiled.returncode != 0:
        raise RuntimeError(f"clip_top.cpp cannot be compiled:\n{compiled.stderr}")
    return _answers([str(program)], graph, prepared, folder)


def _flags_of(onnxruntime: Path) -> list[str]:
    library = onnxruntime / "lib"
    return [f"-I{onnxruntime / 'include'}", f"-L{library}", "-lonnxruntime", f"-Wl,-rpath,{library}"]


def _pkg_config() -> list[str]:
    """Return the flags for a library that is installed."""
    if shutil.which("pkg-config") is not None:
        command = ["pkg-config", "--cflags", "--libs", "libonnxruntime"]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if asked.returncode == 0:
            return asked.stdout.split()
    raise UnavailableError(f"ONNX Runtime's C++ library is not installed ({NEEDED})")


def _answers(program: list[str], graph: Path, prepared: Prepared, folder: Path) -> Answers:
    raw = folder / "frames.raw"
    prepared.frames.tofile(raw)
    height, width = prepared.frames.shape[2:]
    command = [*program, str(graph), str(raw), str(height), str(width)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"{program[-1]} ended with {ran.returncode}:\n{ran.stderr}")
    return parse_answers(ran.stdout)
