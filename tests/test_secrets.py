"""No output holds a password, whatever the password is and whatever goes wrong."""

import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from threading import Event
from urllib.parse import quote

import psutil
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamcam.errors import StreamcamError, redact
from streamcam.metrics import Metrics
from streamcam.sinks.publish import status_of
from streamcam.sources.address import parse_address
from streamcam.sources.base import open_source

BEGIN, END = "Zq7", "9Xv"
"""Around every secret: nothing of it may be seen, and neither stands in what is said anyway."""

ODD = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
SECRETS = ODD.map(lambda text: f"{BEGIN}{text}{END}")
CLOSED = "127.0.0.1:9"


class AtOnce(Event):
    """A stop event that is set as soon as somebody waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


def chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__


def everything_said_of(uri: str) -> str:
    """Collect all texts of a source that cannot be opened: names, status, errors and messages."""
    said: list[str] = []
    try:
        said.append(repr(parse_address(uri)))
        with closing(open_source(uri)) as source:
            assert list(source.frames(AtOnce())) == []
            metrics = Metrics()
            metrics.count_frame(source.name)
            summary = metrics.summary(model="m", model_hash="h", engine="e", device="d", precision="p")
            said += [source.name, source.shown, repr(source), source.state, repr(source.status)]
            said += [repr(status_of(source, metrics)), repr(asdict(summary))]
            source.open()
    except StreamcamError as e:
        said += [*chain(e), "".join(traceback.format_exception(e))]
    assert said
    return "\n".join(said)


@given(SECRETS, SECRETS, SECRETS)
@example(f"{BEGIN}{END}", f"{BEGIN}@/:?#{END}", f"{BEGIN}{END}")
@settings(max_examples=150, deadline=None)
def test_nothing_of_a_login_is_said_when_a_camera_cannot_be_opened(user: str, password: str, token: str) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    for uri in (
        f"rtsp://{login}@{CLOSED}/live?token={quote(token, safe='')}",
        f"http://{login}@{CLOSED}/user=admin&password={quote(token, safe='')}&channel=1",
        f"rtsp://{quote(user, safe='')}:{password}@{CLOSED}/live",
        f"rtsp://{user}:{password}@{CLOSED}/live",
        f"http://{quote(user, safe='')}:{quote(password, safe='')}",
        f"http://{CLOSED}/video?width=640&pwd={quote(token, safe='')}",
    ):
        said = everything_said_of(uri)
        assert BEGIN not in said, said
        assert END not in said, said


@given(st.lists(st.tuples(SECRETS, SECRETS), min_size=1, max_size=4), st.sampled_from([" ", ", ", "' '", "\n"]))
def test_nothing_of_any_login_is_left_in_a_text_with_several(logins: list[tuple[str, str]], between: str) -> None:
    urls = [f"rtsp://{quote(u, safe='')}:{quote(p, safe='')}@cam/live" for u, p in logins]
    redacted = redact(f"[Errno 5] Input/output error: '{between.join(urls)}'")
    assert BEGIN not in redacted
    assert END not in redacted
    assert redacted.startswith("[Errno 5] Input/output error: '")


def test_a_camera_with_its_login_in_the_path_does_not_show_it() -> None:
    said = everything_said_of(f"rtsp://{CLOSED}/user=admin_password={BEGIN}{END}_channel=1_stream=0.sdp")
    assert BEGIN not in said


def test_a_password_on_the_command_line_is_not_shown_by_ps() -> None:
    command = [sys.executable, "-m", "streamcam", "run", f"rtsp://warden:se sa/me@{CLOSED}/live", "--bind", "none"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            ends_s = time.monotonic() + 60
            # It is empty at the moment in which it is replaced.
            shown = psutil.Process(process.pid)
            while not shown.cmdline() or "sa/me" in " ".join(shown.cmdline()):
                assert time.monotonic() < ends_s
                time.sleep(0.02)
            expected = ["-m", "streamcam", "run", f"rtsp://***@{CLOSED}/live", "--bind", "none"]
            assert " ".join(shown.cmdline()).split()[1:] == expected
            assert shown.name().startswith("python")
        finally:
            process.kill()
