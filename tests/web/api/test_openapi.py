"""The OpenAPI document: it names all that the server has, and what the server answers is what it says."""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount, Route, WebSocketRoute

from streamcam.config.load import make_web_config
from streamcam.web.api.openapi import document, encoded
from streamcam.web.app import make_app
from tests.support.ports import unused_port
from tests.support.publish_demo import publishing
from tests.support.saved import make_event, save
from tests.support.web_server import WebServer, web_server

DOCUMENT: dict[str, Any] = json.loads(encoded())
IN_THE_GUARD = {("/login", "get"), ("/login", "post"), ("/logout", "get")}
"""What is answered before any route is looked for."""


def routes_of(app: Any) -> Iterator[tuple[str, str]]:
    """The path and the method of each route, as the document writes them."""
    while not hasattr(app, "routes"):  # what stands before the application
        app = app._app
    for route in app.routes:
        if isinstance(route, Mount):
            yield f"{route.path}/{{file}}", "get"
        elif isinstance(route, WebSocketRoute):
            yield route.path, "get"
        else:
            assert isinstance(route, Route)
            for method in (route.methods or set()) - {"HEAD"}:
                yield route.path, method.lower()


OF_MODULES = {"/api/events": "streamcam.web.api.saved_events", "/api/zones": "streamcam.web.api.zones"}
"""Which module has the routes of a path."""


def is_here(path: str) -> bool:
    return all(find_spec(module) for begin, module in OF_MODULES.items() if path.startswith(begin))


def described() -> set[tuple[str, str]]:
    return {(path, method) for path, operations in DOCUMENT["paths"].items() for method in operations}


@pytest.fixture
def app(tmp_path: Any) -> Any:
    from streamcam.events.store.event_store import EventStore

    EventStore(tmp_path).close()
    return make_app(make_web_config({"events": tmp_path}))


def test_every_route_is_described(app: Any) -> None:
    assert set(routes_of(app)) <= described()


def test_nothing_else_is_described(app: Any) -> None:
    assert {(path, method) for path, method in described() if is_here(path)} - IN_THE_GUARD <= set(routes_of(app))


def operations() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            yield path, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_document_is_whole() -> None:
    """What a validator would look at: references, path parameters, ids, answers."""
    assert DOCUMENT["openapi"] == "3.1.0"
    assert json.loads(json.dumps(document())) == DOCUMENT
    names = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) <= names
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(ids) == len(set(ids))
    for path, operation in operations():
        parameters = operation.get("parameters", [])
        in_path = {p["name"] for p in parameters if p["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert all(p.get("required") for p in parameters if p["in"] == "path")
        assert all(re.fullmatch("[1-5][0-9][0-9]", code) for code in operation["responses"])
        assert all(answer["description"] for answer in operation["responses"].values())


def test_all_that_can_be_referred_to_is_used() -> None:
    used = {name.rpartition("/")[2] for name in references(DOCUMENT)}
    assert set(DOCUMENT["components"]["schemas"]) - used == {"Event"}  # the description of Server-Sent Events names it


TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,), "array": (list,),
    "object": (dict,), "null": (type(None),),
}  # fmt: skip


def check(value: Any, schema: Mapping[str, Any], at: str = "$") -> None:
    """Check a value by the parts of JSON Schema that the document uses, and allow no field that it does not name."""
    if "$ref" in schema:
        return check(value, DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]], at)
    if "anyOf" in schema:
        return None if value is None else check(value, schema["anyOf"][0], at)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    allowed = tuple(kind for name in kinds for kind in TYPES[name])
    assert isinstance(value, allowed), f"{at}: expected {kinds}, got {value!r}"
    assert bool in allowed or not isinstance(value, bool), at
    if isinstance(value, dict) and "properties" in schema:
        assert set(schema["required"]) <= set(value) <= set(schema["properties"]), at
        for key, inner in value.items():
            check(inner, schema["properties"][key], f"{at}.{key}")
    elif isinstance(value, dict) and "additionalProperties" in schema:
        for key, inner in value.items():
            check(inner, schema["additionalProperties"], f"{at}.{key}")
    elif isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)), at
        for i, inner in enumerate(value):
            check(inner, schema["prefixItems"][i] if "prefixItems" in schema else schema["items"], f"{at}[{i}]")
    elif value is not None and not isinstance(value, dict):
        assert value in schema.get("enum", [value]), at
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value), at
    return None


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with publishing(f"tcp://127.0.0.1:{unused_port()}", "--seconds", "120") as demo, web_server(demo.endpoint) as found:
        found.await_cameras("demo")
        yield found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "template", "code"),
    [
        ("/api/cameras", "/api/cameras", "200"),
        ("/api/results/demo", "/api/results/{name}", "200"),
        ("/api/results/nobody", "/api/results/{name}", "404"),
        ("/cameras/nobody.jpg", "/cameras/{name}.jpg", "404"),
        ("/cameras/demo.jpg?kind=x", "/cameras/{name}.jpg", "400"),
        ("/cameras/demo.mjpeg?kind=x", "/cameras/{name}.mjpeg", "400"),
        ("/palette.json", "/palette.json", "200"),
        ("/api/openapi.json", "/api/openapi.json", "200"),
    ],
)
def test_what_is_answered_is_what_is_described(web: WebServer, path: str, template: str, code: str) -> None:
    page = web.ask(path)
    assert str(page.code) == code
    answers = DOCUMENT["paths"][template]["get"]["responses"][code]["content"]
    assert page.headers["content-type"] in answers
    schema = answers["application/json"]["schema"]
    check(json.loads(page.text), schema)


@pytest.mark.slow
def test_the_document_is_served_as_it_is(web: WebServer) -> None:
    assert web.json("/api/openapi.json") == DOCUMENT


def test_an_event_is_what_is_described() -> None:
    from streamcam.event import Event, Rectangle, TubeBox
    from streamcam.events.event_json import encode_event

    box = Rectangle(0.1, 0.2, 0.3, 0.4)
    event = Event(
        "e", "start", "r", "door", 0, None, "cat", 1.0, 1.0, 1_796_059_329_041_000_000, 0.9, 0.9, 1.0,
        {"cat": 0.9}, box, (TubeBox(1.0, box),),
    )  # fmt: skip
    check(json.loads(encode_event(event)), {"$ref": "#/components/schemas/Event"})


RUN = """\
sources: {yard: "rtsp://me:hunter2@127.0.0.1/yard"}
zones:
  gate: {polygon: [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]}
"""


@pytest.mark.slow
def test_events_and_zones_are_answered_as_described(tmp_path: Path) -> None:
    if not all(map(is_here, OF_MODULES)):
        pytest.skip("needs the routes of events and zones")
    root, run = tmp_path / "events", tmp_path / "run.yaml"
    saved = save(root, make_event())
    run.write_text(RUN)
    with web_server("--events", str(root), "--config", str(run)) as web:
        asked = [
            ("/api/events", "/api/events", "200"),
            ("/api/events?limit=0", "/api/events", "400"),
            (f"/api/events/{saved.id}", "/api/events/{id}", "200"),
            ("/api/events/nothing", "/api/events/{id}", "404"),
            (f"/api/events/{saved.id}/nothing", "/api/events/{id}/{file}", "404"),
            ("/api/zones", "/api/zones", "200"),
        ]
        for path, template, code in asked:
            page = web.ask(path)
            assert (path, str(page.code)) == (path, code), page.text
            content = DOCUMENT["paths"][template]["get"]["responses"][code]["content"]
            check(json.loads(page.text), content["application/json"]["schema"], path)
            assert "hunter2" not in page.text
