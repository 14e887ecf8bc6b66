"""Run the examples of docs/export.md on the same frames, and compare them with `streamcam run`.

    python -m scripts.examples [--onnxruntime FOLDER]

It prints a line for each example and graph. It exits with 1 if one differs, or if one cannot be run here. C++ needs a
compiler, nlohmann-json and ONNX Runtime's headers and library. The page needs npm and Chromium.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from scripts.examples.browser import run_page
from scripts.examples.frames import Answers, Prepared, prepare_frames, streamcam_answers
from scripts.examples.native import run_cpp, run_python
from scripts.examples.unavailable import UnavailableError
from streamcam.engines.exported.graph import packaged_graphs

TOLERANCE = 1e-4
"""How far a score may be from streamcam's."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.examples", description="Run the examples of docs/export.md."
    )
    parser.add_argument("--onnxruntime", type=Path, help="a folder with include and lib; by default, pkg-config's")
    onnxruntime = parser.parse_args().onnxruntime
    examples: dict[str, Callable[[Path, Prepared, Path], Answers]] = {
        "Python": run_python,
        "C++": lambda graph, prepared, folder: run_cpp(graph, prepared, folder, onnxruntime=onnxruntime),
        "browser": run_page,
    }
    good = True
    for model, graph in packaged_graphs():
        prepared = prepare_frames(graph)
        expected = streamcam_answers(graph, prepared)
        for language, example in examples.items():
            with tempfile.TemporaryDirectory() as folder:
                try:
                    fits, line = compare(example(graph, prepared, Path(folder)), expected)
                except UnavailableError as e:
                    fits, line = False, f"not run: {e}"
            print(f"{model}, {language}: {line}", flush=True)
            good = good and fits
    return 0 if good else 1


def compare(answers: Answers, expected: Answers) -> tuple[bool, str]:
    """Compare an example's answers with streamcam's, at each window that streamcam computed.

    Returns:
        Whether they agree, and a line that says how far.
    """
    missing = expected.keys() - answers.keys()
    if missing or not expected:
        return False, f"no answer for {len(missing)} of {len(expected)} windows"
    others = [number for number, answer in expected.items() if answers[number].label != answer.label]
    distance = max(abs(answers[number].score - answer.score) for number, answer in expected.items())
    line = f"{len(expected)} windows, {len(others)} with another class, scores {distance:.1e} apart at most"
    return not others and distance <= TOLERANCE, line


if __name__ == "__main__":
    sys.exit(main())
