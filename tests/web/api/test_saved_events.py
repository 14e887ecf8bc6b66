"""`/api/events`: what a folder of saved events has."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from streamcam.config.load import make_web_config
from streamcam.errors import StreamcamError
from streamcam.events.store.event_store import EventStore
from streamcam.events.store.folders import folder_of
from streamcam.transport.messages import decode
from streamcam.transport.payloads import decode_payload
from streamcam.web.api import event_heat
from streamcam.web.api.saved_events import routes
from streamcam.web.framing import unframe
from tests.support.asgi import answering
from tests.support.saved import NOON_NS, SECOND_NS, make_event, save
from tests.support.saved_clip import BEGIN_S, save_playable, window


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for minute, (rule, source, peak) in enumerate(
        [("way", "yard", 0.6), ("way", "door", 0.9), ("fall", "yard", 0.7), ("way", "yard", 0.95)]
    ):
        save(tmp_path, make_event(NOON_NS + minute * 60 * SECOND_NS, rule=rule, source=source, peak=peak))
    return tmp_path


@pytest.fixture
def web(root: Path) -> Iterator[httpx.Client]:
    with answering(Starlette(routes=routes(make_web_config({"events": root})))) as client:
        yield client


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [event["id"] for event in answer.json()["events"]]


def test_events_come_with_the_newest_first_and_say_what_filters_can_be(web: httpx.Client) -> None:
    answer = web.get("/api/events")
    assert ids(answer) == sorted(ids(answer), reverse=True)
    content = answer.json()
    assert (content["total"], content["next"]) == (4, None)
    assert content["values"] == {
        "source": ["door", "yard"],
        "rule": ["fall", "way"],
        "zone": ["gate"],
        "label": ["person"],
    }
    first = content["events"][0]
    assert first["kept"] is False
    assert first["started"] == "2026-11-30T12:03:00.000Z"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("rule=way", 3),
        ("rule=way&source=yard", 2),
        ("zone=gate&label=person", 4),
        ("zone=", 4),
        ("min_score=0.8", 2),
        ("since=2026-11-30T12:01:00Z&until=2026-11-30T13:03:00%2B01:00", 2),
        ("kept=true", 0),
        ("rule=%27%3B+DROP+TABLE+events", 0),
    ],
)
def test_filters_choose(web: httpx.Client, query: str, count: int) -> None:
    answer = web.get(f"/api/events?{query}")
    assert len(ids(answer)) == answer.json()["total"] == count


def test_pages_follow_each_other_while_events_come_and_go(web: httpx.Client, root: Path) -> None:
    everything = ids(web.get("/api/events"))
    first = web.get("/api/events?limit=2")
    with EventStore(root) as store:
        store.add(save(root, make_event(NOON_NS + 600 * SECOND_NS)))
        store.remove(everything[1])
    second = web.get("/api/events", params={"limit": 2, "before": first.json()["next"]})
    assert ids(first) + ids(second) == everything
    assert second.json()["next"] is None


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("limit=0", "limit: expected a number from 1 to 500, got '0'"),
        ("limit=x", "limit: expected a number"),
        ("since=yesterday", "since: expected a moment such as"),
        ("since=2026-11-30", "since: expected a moment such as"),
        ("min_score=nan", "min_score: expected a number from 0 to 1"),
        ("kept=1", "kept: expected true or false"),
        ("before=x", "before: expected `next` of an earlier answer"),
        ("color=red", "unknown: 'color'"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(web: httpx.Client, query: str, line: str) -> None:
    answer = web.get(f"/api/events?{query}")
    assert answer.status_code == 400
    assert line in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_an_event_names_its_neighbours_of_the_same_filters(web: httpx.Client) -> None:
    way = ids(web.get("/api/events?rule=way"))
    answer = web.get(f"/api/events/{way[1]}?rule=way").json()
    assert (answer["newer"], answer["older"]) == (way[0], way[2])
    assert web.get(f"/api/events/{way[0]}").json()["newer"] is None


@pytest.mark.parametrize("path", ["2026", "x", "..%2f..", "%00", "x/clip.mp4", "x/heat"])
def test_an_event_that_is_not_there_is_404(web: httpx.Client, path: str) -> None:
    answer = web.get(f"/api/events/{path}")
    assert answer.status_code == 404


def test_an_event_is_found_before_its_row_is_written(web: httpx.Client, root: Path) -> None:
    assert web.get("/api/events").status_code == 200
    saved = save(root, make_event(NOON_NS + 5000 * SECOND_NS))
    assert web.get(f"/api/events/{saved.id}").json()["id"] == saved.id
    assert web.get(f"/api/events/{saved.id}/clip.mp4").content == b"clip"


def test_files_come_whole_and_in_parts(web: httpx.Client) -> None:
    event = ids(web.get("/api/events"))[0]
    whole = web.get(f"/api/events/{event}/clip.mp4")
    assert (whole.content, whole.headers["content-type"]) == (b"clip", "video/mp4")
    assert "content-disposition" not in whole.headers
    part = web.get(f"/api/events/{event}/clip.mp4", headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, b"li")
    saved = web.get(f"/api/events/{event}/event.json?download")
    assert saved.headers["content-disposition"] == f'attachment; filename="{event}-event.json"'
    assert web.head(f"/api/events/{event}/clip.mp4").headers["content-length"] == "4"


def test_only_files_of_the_record_are_sent(web: httpx.Client, root: Path) -> None:
    event = make_event(NOON_NS + 700 * SECOND_NS)
    saved = save(root, event)
    folder = root / folder_of(saved)
    (root / "secret.txt").write_text("secret")
    (folder / "link.jpg").symlink_to(root / "secret.txt")
    (folder / "page.html").write_text("<script>alert(1)</script>")
    with EventStore(root) as store:
        store.add(saved)
    for name in ("../../../../secret.txt", "..%2f..%2f..%2f..%2fsecret.txt", "link.jpg", "..%2findex.sqlite", ".keep"):
        answer = web.get(f"/api/events/{event.id}/{name}")
        assert answer.status_code == 404
        assert "secret" not in answer.text.replace("secret.txt", "")
    page = web.get(f"/api/events/{event.id}/page.html")
    assert page.headers["content-type"] == "application/octet-stream"
    assert page.headers["content-disposition"].startswith("attachment")
    (folder / "clip.mp4").unlink()
    (folder / "clip.mp4").symlink_to(root / "secret.txt")
    assert web.get(f"/api/events/{event.id}/clip.mp4").status_code == 404


def test_a_folder_that_is_gone_or_damaged_is_503_and_comes_back(web: httpx.Client, root: Path) -> None:
    aside = root.with_name(root.name + "-aside")
    root.rename(aside)
    answer = web.get("/api/events")
    assert (answer.status_code, answer.json()) == (503, {"error": f"no such folder: {root}"})
    aside.rename(root)
    assert len(ids(web.get("/api/events"))) == 4
    for suffix in ("", "-wal", "-shm"):
        (root / f"index.sqlite{suffix}").unlink(missing_ok=True)
    (root / "index.sqlite").write_bytes(b"no database" * 1000)
    answer = web.get("/api/events")
    assert answer.status_code == 503
    assert "streamcam events rebuild" in answer.json()["error"]


def test_a_folder_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StreamcamError, match="no such folder"):
        routes(make_web_config({"events": tmp_path / "none"}))
    with pytest.raises(StreamcamError, match="there are no events in"):
        routes(make_web_config({"events": tmp_path}))


def test_without_a_folder_the_answer_says_how_to_give_one() -> None:
    with answering(Starlette(routes=routes(make_web_config({})))) as client:
        for path in ("/api/events", "/api/events/x", "/api/events/x/clip.mp4"):
            answer = client.get(path)
            assert answer.status_code == 404
            assert "--events FOLDER" in answer.json()["error"]


def test_heat_comes_as_one_message_with_each_slice_once(web: httpx.Client, root: Path) -> None:
    saved = save_playable(root)
    with EventStore(root) as store:
        store.add(saved)
    parts = unframe(web.get(f"/api/events/{saved.id}/heat").content)
    message = decode(parts[1:])
    assert message.result is not None
    heat = message.result.heat
    assert heat is not None
    assert heat.labels == ("person", "car")
    assert heat.pts_s == pytest.approx(9.5 + 0.1 * np.arange(35))
    assert message.header.data == {"clip_begin_pts_s": BEGIN_S, "thinned": 1}
    for place in (0, 3, 4, 34):  # of the first window, and of the one in which it came
        index = max(0, place - 3)
        sent = window(index).heat
        assert sent is not None
        assert heat.cube[:, place] == pytest.approx(sent.cube[:, place - index], abs=0.01)
    infos = {info.name: (info, body) for info, body in zip(message.header.payloads, parts[3:], strict=True)}
    biases = decode_payload(*infos["biases"])
    first = window(0).heat
    assert first is not None
    assert biases[0] == pytest.approx(first.logits[first.classes] - first.cube.mean((1, 2, 3)), abs=0.01)
    assert decode_payload(*infos["scores"])[0] == pytest.approx([0.73, 0.05])


def test_heat_of_a_long_event_is_thinned_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = save_playable(tmp_path)
    monkeypatch.setattr(event_heat, "MAX_SLICES", 10)
    parts = unframe(event_heat.event_heat(tmp_path / folder_of(saved) / "heat.npz", saved))
    message = decode(parts[1:])
    assert message.header.data["thinned"] == 4
    assert message.header.heat is not None
    assert message.header.heat.pts_s == pytest.approx(9.5 + 0.4 * np.arange(9))


@pytest.mark.parametrize("damage", ["cut off", "empty", "no zip", "other arrays", "wrong shapes"])
def test_heat_that_is_damaged_is_told_in_one_line(web: httpx.Client, root: Path, damage: str) -> None:
    saved = save_playable(root)
    with EventStore(root) as store:
        store.add(saved)
    file = root / folder_of(saved) / "heat.npz"
    content = file.read_bytes()
    if damage in ("other arrays", "wrong shapes"):
        with zipfile.ZipFile(file) as archive:
            names = {name: archive.read(name) for name in archive.namelist()}
        names["cube.npy" if damage == "wrong shapes" else "slice_pts_s.npy"] = names["labels.npy"]
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in names.items():
                archive.writestr(name, array)
    else:
        file.write_bytes({"cut off": content[: len(content) // 2], "empty": b"", "no zip": b"x" * 5000}[damage])
    answer = web.get(f"/api/events/{saved.id}/heat")
    assert answer.status_code == 503
    assert answer.json()["error"].startswith(f"the heat of {saved.id} cannot be read: ")
    assert "\n" not in answer.json()["error"]


def test_a_damaged_record_is_listed_and_does_no_harm(web: httpx.Client, root: Path) -> None:
    saved = save_playable(root)
    (root / folder_of(saved) / "event.json").write_text("{")
    with EventStore(root) as store:
        store.rebuild()
    assert web.get("/api/events?rule=(damaged)").json()["total"] == 1
    assert web.get(f"/api/events/{saved.id}/heat").status_code == 503
    shutil.rmtree(root / folder_of(saved))
    assert web.get(f"/api/events/{saved.id}/clip.mp4").status_code == 404
