"""Exported graphs: which files they are, what goes in and comes out, and the card that they carry.

    whole clips     frames uint8 [N,L,3,h,w]              ──► logits [N,C], cube [N,C,L',h',w'], common [N,L',h',w']
    a stream        frames uint8 [N,t,3,h,w], state_0 …   ──► the same of the next slice (L' = 1), next_0 …

`common` is the mean of the cube over all classes. A stream's states begin as zeros. Its first R − 1 answers, R the
receptive field in frames, see these zeros and are left out. From then on, the mean of the logits of the last L' slices
is the logits of the clip that they make up.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import ValidationError

from streamcam.errors import StreamcamError
from streamcam.models.graph_card import GraphCard
from streamcam.records import Floats, Image
from streamcam.strict import describe

SUFFIX = ".onnx"
CARD = "streamcam"
"""The key of the card among a graph's metadata."""
FRAMES, LOGITS, CUBE, COMMON = "frames", "logits", "cube", "common"
STATE, NEXT = "state_", "next_"
"""What names of states begin with, as inputs and as outputs."""

DATA = Path(__file__).parents[2] / "data"
PACKAGED = {
    "motion": {"fp32": "motion.onnx", "bf16": "motion.onnx", "int8": "motion-int8.onnx"},
    "imagenet-fast": {"fp32": "imagenet-fast.onnx", "bf16": "imagenet-fast.onnx"},
}
"""The graphs that come along, by model and precision."""


class Slices(NamedTuple):
    """What a graph gives for one clip, or for the next slice of one stream. It holds until the next `start`."""

    logits: Floats
    """float32 [C]."""
    cube: Floats
    """float32 [C,L',h,w]; of a stream, L' = 1."""
    common: Floats
    """float32 [L',h,w]."""


class Request(Protocol):
    """One place in a runtime where a graph is computed. A stream has one of its own, which keeps its states."""

    def start(self, frames: Image) -> None:
        """Begin to compute frames, uint8 [L,3,h,w] or, of a stream, [t,3,h,w]."""
        ...

    def wait(self) -> Slices:
        """Wait for what `start` began."""
        ...

    def reset(self) -> None:
        """Set the states to zero."""
        ...


class Graph(Protocol):
    """A graph that a runtime has read."""

    card: GraphCard

    def require(self, precision: str) -> str:
        """Return the precision to compute in, for a name such as `auto`.

        Raises:
            StreamcamError: the runtime does not compute this graph in it.
        """
        ...

    def compile(self, size: tuple[int, int], *, precision: str, requests: int, threads: int) -> "Compiled":
        """Prepare it for pictures of a size, (h, w).

        Args:
            size: of the pictures.
            precision: what `require` returned.
            requests: how many are computed at a time.
            threads: how many threads compute them.
        """
        ...


class Compiled(Protocol):
    """A graph that is prepared for pictures of one size."""

    def request(self) -> Request:
        """Make a place for it to be computed."""
        ...


def is_graph(name: str) -> bool:
    """Return whether a model's name is the path of an exported graph."""
    return name.endswith(SUFFIX)


def packaged_graph(name: str, *, precision: str) -> Path | None:
    """Return the graph that comes along for a model in a precision; None where there is none."""
    file = PACKAGED.get(name, {}).get("fp32" if precision == "auto" else precision)
    return None if file is None else DATA / file


def packaged_graphs() -> list[tuple[str, Path]]:
    """Return the graphs that come along, in float32, by model."""
    return [(name, DATA / files["fp32"]) for name, files in PACKAGED.items()]


class Port(NamedTuple):
    """An input or an output of a graph."""

    shape: tuple[int, ...]
    """−1 for what is not fixed."""
    dtype: str
    """`uint8`, `float32` or another name of NumPy's."""


Ports = Mapping[str, Port]


def parse_card(path: Path, text: str | None, *, inputs: Ports, outputs: Ports) -> GraphCard:
    """Read the card of a graph, and check that it speaks of this graph.

    Args:
        path: the file, for errors.
        text: the card, JSON; None if the graph has none.
        inputs: of the graph, by name.
        outputs: of the graph, by name.

    Raises:
        StreamcamError: it has no card, or one that is not valid, or one of another graph.
    """
    if text is None:
        raise StreamcamError(f"{path} is not a graph that streamcam export wrote: it has no card")
    try:
        card = GraphCard.model_validate_json(text)
    except ValidationError as e:
        raise StreamcamError(f"the card in {path}: {describe(e.errors()[0])}") from None
    if wrong := _mismatch(card, inputs, outputs):
        raise StreamcamError(f"the card in {path} speaks of another graph: {wrong}; export it again")
    return card


def _mismatch(card: GraphCard, inputs: Ports, outputs: Ports) -> str | None:
    """Return in what a graph differs from what its card says; None if it is the same."""
    lacking = [*({FRAMES} - inputs.keys()), *sorted({LOGITS, CUBE, COMMON} - outputs.keys())]
    if lacking:
        return f"it has no {lacking[0]}"
    states = inputs.keys() - {FRAMES}
    if {NEXT + name.removeprefix(STATE) for name in states} != outputs.keys() - {LOGITS, CUBE, COMMON}:
        return "not every state goes in and comes out"
    if states and not card.stream:
        return "it has states, and is no stream"
    spec = card.spec()
    frames, slices = (-1, 1) if card.stream else (spec.clip_format.length, spec.slices)
    size = (-1, -1) if spec.clip_format.shapes else spec.clip_format.crop
    classes = len(card.classes)
    expected = {
        FRAMES: Port((-1, frames, 3, *size), "uint8"),
        LOGITS: Port((-1, classes), "float32"),
        CUBE: Port((-1, classes, slices, -1, -1), "float32"),
        COMMON: Port((-1, slices, -1, -1), "float32"),
    }
    for name, port in expected.items():
        given = inputs[name] if name == FRAMES else outputs[name]
        if not _fits(given, port):
            return f"expected {name} {_shown(port)}, got {_shown(given)}"
    for name in states:
        given, after = inputs[name], outputs[NEXT + name.removeprefix(STATE)]
        if given.dtype != "float32" or min(given.shape[1:], default=-1) < 1 or not _fits(after, given):
            return f"{name} is {_shown(given)}, and comes out as {_shown(after)}"
    return None


def _fits(given: Port, expected: Port) -> bool:
    """Return whether two ports are the same, where both are known."""
    return (
        given.dtype == expected.dtype
        and len(given.shape) == len(expected.shape)
        and all(a == b for a, b in zip(given.shape, expected.shape, strict=True) if min(a, b) >= 0)
    )


def _shown(port: Port) -> str:
    return f"{port.dtype} [{','.join('?' if axis < 0 else str(axis) for axis in port.shape)}]"
