"""apprise is asked to send each event, with its picture, to a real server."""

import json
import sys
from pathlib import Path

import pytest

from streamcam.config.notify import AppriseConfig
from streamcam.errors import StreamcamError
from streamcam.notify.apprise_target import AppriseTarget
from streamcam.notify.target import TryAgainError
from tests.notify.test_webhook import hook
from tests.support.messages import an_event
from tests.support.ports import unused_port

pytestmark = [
    pytest.mark.slow,  # apprise loads a hundred services
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),  # it looks for it, for one of them
]


def test_a_message_says_what_has_happened_and_carries_the_snapshot(tmp_path: Path) -> None:
    event = an_event(state="saved")
    assert event.folder is not None
    folder = tmp_path / event.folder
    folder.mkdir(parents=True)
    (folder / "snapshot.jpg").write_bytes(b"\xff\xd8 a picture")
    with hook(200) as (server, url):
        target = AppriseTarget(AppriseConfig(url=url.replace("http://", "json://")), event_folder=tmp_path)
        target.tell([event])
    (body,) = server.bodies
    told = json.loads(body)
    assert told["title"] == "cam1: wrong-way (猫 🐈)"
    assert told["message"].startswith("It took 2 s, and its files are complete in yard. Score up to 88%; began ")
    assert [attachment["filename"] for attachment in told["attachments"]] == ["snapshot.jpg"]


def test_a_service_that_fails_is_tried_again_a_few_times() -> None:
    with hook(500) as (_, url), pytest.raises(TryAgainError, match="it was not sent") as caught:
        AppriseTarget(AppriseConfig(url=url.replace("http://", "json://")), event_folder=None).tell([an_event()])
    assert caught.value.answered


def test_a_service_that_is_not_there_is_tried_again() -> None:
    config = AppriseConfig(url=f"json://127.0.0.1:{unused_port()}/")
    with pytest.raises(TryAgainError):
        AppriseTarget(config, event_folder=None).tell([an_event()])


def test_an_unknown_url_is_one_line_that_does_not_hold_it() -> None:
    with pytest.raises(StreamcamError, match="apprise does not know this URL: nosuch://…") as caught:
        AppriseTarget(AppriseConfig(url="nosuch://hunter2/token"), event_folder=None)
    assert "hunter2" not in str(caught.value)


def test_the_url_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("json://127.0.0.1:9/hunter2\n")
    target = AppriseTarget(AppriseConfig(url_file=tmp_path / "url"), event_folder=None)
    assert target.shown == "json://…"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(StreamcamError, match=r"pip install 'streamcam\[notify\]'"):
        AppriseTarget(AppriseConfig(url="json://h"), event_folder=None)
