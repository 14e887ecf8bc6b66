"""Files that are no graph, or another one than their card says: one line that says what is wrong."""

import json
from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from streamcam.config.run import RunConfig
from streamcam.engines.exported.backends import RUNTIMES, read_graph
from streamcam.engines.exported.graph import CARD, DATA
from streamcam.engines.exported.reasons import reason
from streamcam.errors import StreamcamError
from streamcam.models.registry import load_model
from streamcam.runtime.network import find_network

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxruntime", "openvino")), reason="needs the extra export"
)

MOTION = DATA / "motion.onnx"
Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def motion() -> Any:
    import onnx

    return onnx.load(MOTION)


def complaint(path: Path, backend: str) -> str:
    with pytest.raises(StreamcamError) as caught:
        read_graph(path, backend=backend)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    assert not any(word in text for word in ("Exception from", "ONNXRuntimeError", "src/"))
    return text


def carded(**changes: object) -> Change:
    """Change keys of the card."""

    def change(graph: Any) -> None:
        (card,) = graph.metadata_props
        card.value = json.dumps(json.loads(card.value) | changes)

    return change


def without_card(graph: Any) -> None:
    del graph.metadata_props[:]


def with_card(text: str) -> Change:
    def change(graph: Any) -> None:
        from onnx import helper

        helper.set_model_props(graph, {CARD: text})

    return change


def with_an_unknown_operator(graph: Any) -> None:
    from onnx import helper

    node = graph.graph.node[5]
    node.domain, node.op_type = "com.example", "Wonder"
    graph.opset_import.append(helper.make_opsetid("com.example", 1))


def with_another_state(graph: Any) -> None:
    name = graph.graph.input[1].name
    graph.graph.input[1].name = "state_99"
    for node in graph.graph.node:
        for i, value in enumerate(node.input):
            if value == name:
                node.input[i] = "state_99"


def with_a_state_less(graph: Any) -> None:
    del graph.graph.output[-1]


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without_card, "it has no card"),
        (with_card(""), "Invalid JSON"),
        (with_card("[]"), "Input should be an object"),
        (carded(classes=["one", "two"], heat_scale=None), r"expected logits float32 \[\?,2\], got float32 \[\?,15\]"),
        (carded(classes=["one"] * 15), "two classes have the same name"),
        (carded(stream=False), "it has states, and is no stream"),
        (carded(temporal_stride=2), "a slice for every frame"),
        (carded(temporal_receptive_field=None), "says how many frames a slice depends on"),
        (carded(summary="x" * 1_000_000), "summary: String should have at most"),
        (carded(unheard_of=1), "unheard_of: Extra inputs"),
        (with_an_unknown_operator, r"com.example.Wonder"),
        (with_another_state, "not every state goes in and comes out"),
        (with_a_state_less, "not every state goes in and comes out"),
    ],
)
def test_a_graph_that_is_not_what_its_card_says_is_one_line(
    change: Change, expected: str, backend: str, motion: Any, tmp_path: Path
) -> None:
    import onnx

    graph, path = deepcopy(motion), tmp_path / "odd.onnx"
    change(graph)
    onnx.save(graph, path)
    with pytest.raises(StreamcamError, match=expected):
        read_graph(path, backend=backend)
    complaint(path, backend)


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("key", ["fps", "length", "crop"])
def test_a_card_with_impossible_clips_is_one_line(key: str, backend: str, motion: Any, tmp_path: Path) -> None:
    import onnx

    graph, path = deepcopy(motion), tmp_path / "odd.onnx"
    clip = json.loads(graph.metadata_props[0].value)["clip"]
    carded(clip=clip | {"fps": {"fps": -1}, "length": {"length": 0}, "crop": {"crop": [7, 7]}}[key])(graph)
    onnx.save(graph, path)
    assert "card" in complaint(path, backend)


@pytest.mark.parametrize("backend", RUNTIMES)
def test_a_graph_that_takes_other_numbers_is_one_line(backend: str, motion: Any, tmp_path: Path) -> None:
    import onnx

    graph, path = deepcopy(motion), tmp_path / "odd.onnx"
    graph.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.save(graph, path)
    assert "float" in complaint(path, backend)


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("what", ["text", "empty", "truncated"])
def test_a_file_that_is_no_graph_is_one_line(
    what: str, backend: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes({"text": b"no graph at all\n" * 9, "empty": b"", "truncated": MOTION.read_bytes()[:-300]}[what])
    complaint(path, backend)
    assert capfd.readouterr() == ("", "")  # readers of other formats would print what they think of it


@pytest.mark.parametrize("backend", RUNTIMES)
def test_a_folder_and_what_is_not_there_are_no_graphs(backend: str, tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    for name in ("folder.onnx", "none.onnx"):
        assert "no such graph" in complaint(tmp_path / name, backend)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"backend": "torch"}, "use --backend openvino or onnxruntime"),
        ({"precision": "int8"}, "leave out --precision int8"),
        ({"precision": "int8", "backend": "onnxruntime"}, "leave out --precision"),
        ({"engine": "window"}, "leave out --engine window"),
        ({"device": "cuda"}, "leave out --device cuda"),
        ({"weights": "none"}, "leave out --weights"),
        ({"dense": True}, "leave out --dense"),
        ({"decode": "cuda"}, "leave out --decode cuda"),
        ({"window": 5}, "takes 17 at least"),
    ],
)
def test_an_option_that_a_graph_has_no_use_for_is_one_line(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(StreamcamError, match=expected):
        find_network(RunConfig.model_validate({"sources": ["sample"], "model": str(MOTION), **options}))


def test_what_needs_a_model_says_that_a_graph_is_none() -> None:
    with pytest.raises(StreamcamError, match=r"motion\.onnx is an exported graph, which only streamcam run computes"):
        load_model(str(MOTION))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Exception from a.cpp:8:\nCheck 'm' failed at b.cpp:5:\nFrontEnd API failed with X:\nIt is torn\n\n",
            "It is torn",
        ),
        ("Summary:\n-- No conversion rule found for operations: a.B\n-- Conversion is failed for: C", "operators a.B"),
        ("[ONNXRuntimeError] : 7 : BAD : Load model from /a b.onnx failed:It is torn.", "It is torn."),
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model from a failed:/o/a.h:46 void f(g<h>&, int) Opset 99.",
            "Opset 99.",
        ),
        ("Exception from a.cpp:8:\n", "Exception from a.cpp:8:"),
        ("", "RuntimeError"),
    ],
)
def test_the_reason_is_the_line_that_a_person_can_use(text: str, expected: str) -> None:
    assert reason(RuntimeError(text)).endswith(expected)
