"""A URL is told of each event by a signed POST; what it answers decides whether it is told again."""

import hmac
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event as Flag

import pytest

from streamcam.config.notify import WebhookConfig
from streamcam.events.event_json import decode_event
from streamcam.notify.outlet import MAX_ANSWERED, Outlet
from streamcam.notify.spool import Spool
from streamcam.notify.target import RefusedError, TryAgainError
from streamcam.notify.webhook import WebhookTarget
from tests.support.messages import an_event
from tests.support.ports import unused_port
from tests.support.publish_demo import eventually
from tests.support.serving import Quiet, serving


@dataclass
class Hook:
    """A server that answers as it is told to, the last answer for ever."""

    answers: list[int] = field(default_factory=lambda: [204])
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    before: Callable[[BaseHTTPRequestHandler], None] = lambda _: None

    def handler(self) -> type[BaseHTTPRequestHandler]:
        hook = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.paths.append(self.path)
                hook.headers.append(dict(self.headers))
                hook.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                hook.before(self)
                self.send_response(hook.answers.pop(0) if len(hook.answers) > 1 else hook.answers[0])
                self.send_header("Location", "/elsewhere")
                self.end_headers()

        return Handler


@contextmanager
def hook(*answers: int) -> Iterator[tuple[Hook, str]]:
    made = Hook(list(answers) or [204])
    with serving(made.handler()) as address:
        yield made, f"http://{address}/told?a=1"


@contextmanager
def told_by(config: WebhookConfig, folder: Path) -> Iterator[Outlet]:
    outlet = Outlet(WebhookTarget(config), Spool(folder / "hook.sqlite3", most=100), config, backoff_s=0.001)
    outlet.start()
    try:
        yield outlet
    finally:
        outlet.close(until_s=0.0)
    assert outlet.error is None


def test_an_event_is_posted_as_json_and_signed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    with hook() as (server, url):
        WebhookTarget(WebhookConfig(url=url, secret_file=secret)).tell([an_event()])
    (body,), (headers,) = server.bodies, server.headers
    assert decode_event(body) == an_event()
    assert json.loads(body)["box"] == [0.1, 0.2, 0.6, 0.9]
    assert server.paths == ["/told?a=1"]
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Streamcam-Signature"] == f"sha256={hmac.new(b'hunter2', body, sha256).hexdigest()}"


def test_without_a_secret_nothing_is_signed_and_a_login_in_the_url_is_used() -> None:
    with hook() as (server, url):
        WebhookTarget(WebhookConfig(url=url.replace("http://", "http://me:p%40ss@"))).tell([an_event()])
    assert "X-Streamcam-Signature" not in server.headers[0]
    assert server.headers[0]["Authorization"] == "Basic bWU6cEBzcw=="


@pytest.mark.parametrize("answer", [500, 503, 408, 429])
def test_an_answer_about_the_moment_is_tried_again(answer: int) -> None:
    with hook(answer) as (_, url), pytest.raises(TryAgainError, match=f"answers {answer}") as caught:
        WebhookTarget(WebhookConfig(url=url)).tell([an_event()])
    assert caught.value.answered


@pytest.mark.parametrize("answer", [301, 302, 307, 400, 401, 404, 410])
def test_any_other_answer_is_final_and_a_redirect_is_not_followed(answer: int) -> None:
    with hook(answer) as (server, url), pytest.raises(RefusedError, match=f"answers {answer}"):
        WebhookTarget(WebhookConfig(url=url)).tell([an_event()])
    assert server.paths == ["/told?a=1"]


def test_nobody_at_the_url_is_tried_again() -> None:
    target = WebhookTarget(WebhookConfig(url=f"http://127.0.0.1:{unused_port()}/"))
    with pytest.raises(TryAgainError) as caught:
        target.tell([an_event()])
    assert not caught.value.answered


@pytest.mark.parametrize("drip", [False, True])
def test_a_server_that_does_not_come_to_an_end_is_left(drip: bool) -> None:
    """Also one that sends a byte now and then, which the time limit of a socket would never notice."""
    leave = Flag()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        while not leave.wait(0.05):
            if drip:
                handler.wfile.write(b"H")

    with hook() as (server, url):
        server.before = stall
        try:
            with pytest.raises(TryAgainError):
                WebhookTarget(WebhookConfig(url=url, timeout_s=0.5)).tell([an_event()])
        finally:
            leave.set()


def test_events_arrive_in_order_and_once_though_the_server_fails_in_between(tmp_path: Path) -> None:
    with hook(500, 503, 200, 429, 200) as (server, url), told_by(WebhookConfig(url=url), tmp_path) as outlet:
        for i in range(5):
            outlet.put(an_event(id=f"e{i}", state="start"))
        eventually(lambda: outlet.counts["told"] == 5, "all are told")
    seen = [decode_event(body).id for body in server.bodies]
    assert seen == ["e0", "e0", "e0", "e1", "e1", "e2", "e3", "e4"]


def test_a_server_that_always_fails_at_an_event_does_not_keep_the_next_from_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [500] * MAX_ANSWERED + [200]
    with caplog.at_level(logging.INFO), hook(*answers) as (server, url):
        with told_by(WebhookConfig(url=url), tmp_path) as outlet:
            outlet.put(an_event(id="bad", state="start"))
            outlet.put(an_event(id="good", state="start"))
            eventually(lambda: outlet.counts["told"] == 1, "the next is told")
        assert outlet.counts == {"refused": 1, "told": 1}
    assert len(server.bodies) == MAX_ANSWERED + 1
    assert "it is not told of bad (start)" in caplog.text


def test_only_rules_and_states_that_are_wanted_are_told(tmp_path: Path) -> None:
    with hook() as (server, url), told_by(WebhookConfig(url=url, rules=["fall"]), tmp_path) as outlet:
        for rule in ("fall", "wave"):
            for state in ("start", "update", "end", "saved"):
                outlet.put(an_event(id=f"{rule}-{state}", rule=rule, state=state))
        eventually(lambda: outlet.counts["told"] == 2, "two are told")
    assert [decode_event(body).id for body in server.bodies] == ["fall-start", "fall-end"]


def test_no_log_line_holds_the_password_of_a_url(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"http://me:hunter2@127.0.0.1:{unused_port()}/?token=abcdef"
    config = WebhookConfig(url=url)
    with caplog.at_level(logging.DEBUG), told_by(config, tmp_path) as outlet:
        outlet.put(an_event(state="start"))
        eventually(lambda: "trying again" in caplog.text, "it is logged")
    assert "hunter2" not in caplog.text + repr(config) + outlet.target.shown
    assert "abcdef" not in caplog.text + repr(config) + outlet.target.shown
