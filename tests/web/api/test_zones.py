"""`/api/zones`, and what becomes of the user's own file."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from starlette.applications import Starlette

from streamcam.config.load import make_config, make_web_config
from streamcam.config.yaml_file import read_yaml
from streamcam.errors import StreamcamError
from streamcam.web.api.zone_file import ZoneFile, read_zones
from streamcam.web.api.zones import routes
from tests.support.asgi import answering

CORNERS = [(0.1, 0.2), (0.6, 0.2), (0.6, 0.9)]
OTHERS = "sources: [{uri: 'rtsp://me:secret@host/live', name: yard}]  # my camera\n"
RULE = "events:\n  way: {classes: [moving left], zone: gate}\n"
BLOCK = """zones:
  # in front of the house
  gate:   # the gate
    polygon:   # clockwise
      - [0, 0]
      - [1, 0]   # right
      - [1, 1]
    source: yard   # there

# rules
"""
FILES = {
    "no zones": OTHERS + RULE.replace(", zone: gate", ""),
    "no newline at the end": OTHERS.rstrip("\n"),
    "a comment without newline at the end": OTHERS + "# the end",
    "a comment and a rule behind": OTHERS + BLOCK + RULE,
    "zones at the end": OTHERS + RULE + BLOCK,
    "empty zones": OTHERS + "zones: {}   # none yet\n" + "loop: true\n",
    "zones in flow style": OTHERS + "zones: {door: {polygon: [[0, 0], [1, 0], [1, 1]]}}\n",
    "zones in flow style on several lines": OTHERS
    + "zones: {\n  door: {polygon: [[0, 0], [1, 0], [1, 1]]}, # a door\n  # nothing more\n}\n",
    "all in flow style": "{sources: [sample], loop: true}\n",
    "json": '{"sources": ["sample"], "zones": {"door": {"polygon": [[0, 0], [1, 0], [1, 1]]}}}',
    "an indentation of its own": "  sources: [sample]\n  zones:\n      door:\n"
    "          polygon: [[0, 0], [1, 0], [1, 1]]\n  loop: true\n",
    "lists that are not indented": "sources:\n- sample\nzones:\n  door:\n    polygon:\n"
    "    - [0, 0]\n    - [1, 0]\n    - [1, 1]\n",
    "an anchor": OTHERS + "zones: &all\n  door: &door {polygon: [[0, 0], [1, 0], [1, 1]]}\nloop: true\n",
    "an anchored empty mapping": OTHERS + "zones: &all {}\n",
    "two ends of lines": (OTHERS + BLOCK + RULE).replace("\n", "\r\n"),
    "tabs where they may be": OTHERS + "zones: #\ta tab\n  door: {polygon: [[0, 0], [1, 0], [1, 1]]} #\there\n",
    "a byte order mark": "\ufeff" + OTHERS + BLOCK + RULE,
    "marks of a document": "---\n" + OTHERS + BLOCK + "loop: true\n...\n",
    "zones twice": OTHERS + "zones: {a: {polygon: [[0, 0], [1, 0], [1, 1]]}}\nzones:\n"
    "  door: {polygon: [[0, 0], [1, 0], [1, 1]]}\n",
    "a text of several lines": OTHERS + "classes: |\n  a,\n  b\n",
    "folded texts": OTHERS
    + "zones:\n  door:\n    polygon: [[0, 0], [1, 0], [1, 1]]\n    source: >-\n      yard\nloop: true\n",
    "umlauts and other writing": OTHERS + "classes: [Häuschen, 猫]  # 🐈\nzones: {}\n",
    "quotes around keys": '"sources": [sample]\n"zones":\n  "door": {"polygon": [[0, 0], [1, 0], [1, 1]]}\n',
    "the largest of numbers and times": OTHERS + "seconds: 1e300\nevents:\n  on: {classes: [a], on: 0.5, "
    "schedule: {from: 22:00, to: 6:00}}\n",
}


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "yard.yaml"
    path.write_bytes(FILES[request.param].encode())
    return path


def lost_lines(before: str, after: str) -> list[str]:
    """What stood in a file and is not there any more, by lines and without the ends of these."""
    left = after.splitlines()
    return [line for line in before.splitlines() if line not in left]


def test_a_zone_is_added_and_nothing_else_is_touched(file: Path) -> None:
    before, keys = file.read_bytes().decode(), read_yaml(file)
    ZoneFile(file).save("new-one", CORNERS, "yard")
    after, now = file.read_bytes().decode(), read_yaml(file)
    assert now["zones"]["new-one"] == {"polygon": [list(corner) for corner in CORNERS], "source": "yard"}
    assert list(now["zones"]) == [*(keys.get("zones") or {}), "new-one"]
    now["zones"].pop("new-one")
    assert repr({**now, "zones": now["zones"] or None}) == repr({**keys, "zones": keys.get("zones") or None})
    position, removed = 0, 0
    for character in before:  # all that was there is there, in its order
        found = after.find(character, position)
        removed += found < 0
        position = found + 1
    assert removed == 0
    assert len(lost_lines(before, after)) <= 1
    assert make_config({}, file=file).zones["new-one"].polygon == CORNERS
    assert (file.parent / "yard.yaml.bak").read_bytes().decode() == before


def test_a_zone_that_is_added_and_deleted_leaves_the_file_as_it_was(file: Path) -> None:
    before = read_yaml(file)
    first = file.read_bytes().decode()
    ZoneFile(file).save("new-one", CORNERS, None)
    ZoneFile(file).delete("new-one")
    after = read_yaml(file)
    if before.get("zones"):
        assert file.read_bytes().decode().rstrip() == first.rstrip()
    assert {**after, "zones": after["zones"] or None} == {**before, "zones": before.get("zones") or None}


def test_every_zone_can_be_replaced_renamed_and_deleted(file: Path) -> None:
    for name in list(read_zones(file).zones):
        comments = file.read_bytes().decode().count("#")
        ZoneFile(file).save(name, CORNERS, "yard", replaces=name)
        ZoneFile(file).save(name, CORNERS[::-1], None, replaces=name)
        zones = read_zones(file)
        assert (zones.zones[name].polygon, zones.zones[name].source) == (CORNERS[::-1], None)
        ZoneFile(file).save("renamed", CORNERS, "yard", replaces=name)
        zones = read_zones(file)
        assert name not in zones.zones
        if zones.rules_of("renamed"):
            with pytest.raises(StreamcamError, match="way is about the zone renamed: change that rule first"):
                ZoneFile(file).delete("renamed")
            continue
        assert file.read_bytes().decode().count("#") >= comments - 3  # those within the corners and the source
        ZoneFile(file).delete("renamed")
        assert "renamed" not in read_zones(file).zones


def test_rules_follow_a_zone_that_is_renamed(tmp_path: Path) -> None:
    file = tmp_path / "yard.yaml"
    file.write_text(OTHERS + BLOCK + RULE)
    ZoneFile(file).save("entrance", CORNERS, "yard", replaces="gate")
    assert read_zones(file).rules_of("entrance") == ["way"]
    assert "  entrance:   # the gate\n" in file.read_text()
    make_config({}, file=file)


@pytest.mark.parametrize("name", ["1", "0x1F", "1e5", "true", "null", "on", "2026-11-30", "12_3", "a-b_c", "No"])
def test_a_name_stays_a_text_whatever_it_looks_like(tmp_path: Path, name: str) -> None:
    file = tmp_path / "yard.yaml"
    file.write_text(OTHERS)
    ZoneFile(file).save(name, CORNERS, "1.0")
    assert make_config({}, file=file).zones[name].source == "1.0"
    assert yaml.safe_load(file.read_text())["zones"][name]["source"] == "1.0"


def test_a_file_that_changes_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "yard.yaml"
    file.write_text(OTHERS)
    version = read_zones(file).version
    file.write_text(OTHERS + "loop: true\n")
    with pytest.raises(StreamcamError, match=r"yard\.yaml has been changed meanwhile"):
        ZoneFile(file).save("gate", CORNERS, None, version=version)
    assert file.read_text() == OTHERS + "loop: true\n"


def test_a_file_that_a_run_would_not_take_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "yard.yaml"
    file.write_text(OTHERS + "lop: true\n")
    with pytest.raises(StreamcamError, match=r"not saved: yard\.yaml: unknown key 'lop'"):
        ZoneFile(file).save("gate", CORNERS, None)
    assert file.read_text() == OTHERS + "lop: true\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["yard.yaml"]


def test_a_link_stays_one_and_the_file_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "r.yaml", tmp_path / "yard.yaml"
    real.write_text(OTHERS)
    real.chmod(0o600)
    link.symlink_to(real)
    ZoneFile(link).save("gate", CORNERS, None)
    assert link.is_symlink()
    assert "gate" in read_zones(real).zones
    assert real.stat().st_mode & 0o777 == 0o600


Serve = Callable[..., httpx.Client]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def serve(content: str, *, edit: bool = True) -> httpx.Client:
            file = tmp_path / "yard.yaml"
            file.write_text(content)
            app = Starlette(routes=routes(make_web_config({"config": file, "allow_edit": edit})))
            return stack.enter_context(answering(app))

        yield serve


def test_zones_and_rules_are_told_and_no_address_of_a_camera(serve: Serve) -> None:
    answer = serve(OTHERS + BLOCK + RULE).get("/api/zones")
    assert "secret" not in answer.text
    assert "rtsp" not in answer.text
    content = answer.json()
    assert content["zones"] == [
        {"name": "gate", "source": "yard", "polygon": [[0, 0], [1, 0], [1, 1]], "rules": ["way"]}
    ]
    assert content["rules"][0] | {"name": "way", "zone": "gate", "on": 0.5, "off": 0.4} == content["rules"][0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}, "edges from corner 1 and from corner 3 cross"),
        ({"polygon": [[0, 0], [1, 1]]}, "at least 3 items"),
        ({"polygon": [[0, 0], [1, 1], [1, 1.1]]}, "outside of the picture"),
        ({"polygon": [[0, 0], [0.5, 0.5], [1, 1]]}, "on one line"),
        ({"polygon": [[i / 100, i * i / 1e4] for i in range(65)]}, "at most 64 items"),
        ({"name": "a gate"}, "'a gate' is no name"),
        ({"name": ""}, "'' is no name"),
        ({"name": "g" * 49}, "is no name"),
        ({"name": "gate: {}"}, "is no name"),
    ],
)
def test_what_is_wrong_with_a_zone_is_said_in_one_line(
    serve: Serve, tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    web = serve(OTHERS)
    zone = {"name": "gate", "polygon": CORNERS, "source": "yard"} | change
    answer = web.post("/api/zones/check", json=zone).json()
    assert not answer["ok"]
    assert problem in answer["problem"]
    assert "\n" not in answer["problem"]
    saved = web.post("/api/zones", json=zone)
    assert saved.status_code == 400
    assert (tmp_path / "yard.yaml").read_text() == OTHERS


def test_the_yaml_of_a_check_is_what_a_run_reads(serve: Serve, tmp_path: Path) -> None:
    answer = serve(OTHERS).post("/api/zones/check", json={"name": "gate", "polygon": CORNERS}).json()
    file = tmp_path / "run.yaml"
    file.write_text(OTHERS + answer["yaml"])
    assert make_config({}, file=file).zones["gate"].polygon == CORNERS


def test_saving_needs_leave(serve: Serve, tmp_path: Path) -> None:
    web = serve(OTHERS, edit=False)
    for answer in (web.post("/api/zones", json={"name": "gate", "polygon": CORNERS}), web.delete("/api/zones/gate")):
        assert answer.status_code == 403
        assert "--allow-edit" in answer.json()["error"]
    assert (tmp_path / "yard.yaml").read_text() == OTHERS


def test_zones_are_saved_and_deleted_over_http(serve: Serve) -> None:
    web = serve(OTHERS)
    version = web.get("/api/zones").json()["version"]
    saved = web.post("/api/zones", json={"name": "gate", "polygon": CORNERS, "version": version})
    assert [zone["name"] for zone in saved.json()["zones"]] == ["gate"]
    assert web.post("/api/zones", json={"name": "gate", "polygon": CORNERS}).status_code == 409
    assert web.post("/api/zones", json={"name": "b", "polygon": CORNERS, "version": version}).status_code == 409
    assert web.delete("/api/zones/gate").json()["zones"] == []
    assert web.delete("/api/zones/gate").status_code == 409


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"name": 1}', b"\xff", b"[" * 10_000, b"x" * 70_000])
def test_what_is_no_json_is_refused(serve: Serve, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = serve(OTHERS).post("/api/zones", content=body, headers=headers)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]


def test_a_file_with_a_mistake_is_refused_at_the_start(serve: Serve, tmp_path: Path) -> None:
    for content, line in (("zones: {gate: {polygon: [[0, 0]]}}", "zones.gate.polygon"), ("[", "not valid YAML")):
        with pytest.raises(StreamcamError, match=line):
            serve(content)
    with pytest.raises(StreamcamError, match="cannot read"):
        routes(make_web_config({"config": tmp_path / "none.yaml"}))
