"""Why a runtime does not take a graph: the one line of its error that a person can use."""

import re

from streamcam.errors import first_line

_WHERE = re.compile(r"(-- \S+ with a message:|Exception from |Check '|FrontEnd API failed|While |Summary:|\s*$)")
"""How OpenVINO's lines begin that say where in its code an error arose."""
_UNKNOWN = "-- No conversion rule found for operations:"
_PREFIX = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?(/\S+:\d+ .*?\) (?=[A-Z]))?", re.DOTALL
)
"""What ONNX Runtime puts before its own words: a code, the file, and a place in its code."""


def reason(error: BaseException) -> str:
    """Return the line of an error of OpenVINO or ONNX Runtime that says what is wrong with a graph."""
    text = _PREFIX.sub("", str(error), count=1)
    lines = [line for line in text.splitlines() if not _WHERE.match(line)]
    unknown = [line.removeprefix(_UNKNOWN) for line in lines if line.startswith(_UNKNOWN)]
    if unknown:
        return f"it does not know the operators{unknown[0]}"
    last = [line for line in lines if not line.startswith("--")] or lines
    return last[-1].strip()[:200] if last else first_line(error)
