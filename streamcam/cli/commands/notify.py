"""The command for telling of events: notify."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Annotated

import typer

from streamcam.config.run import DEFAULT_ENDPOINT
from streamcam.errors import one_line


def notify(
    endpoint: Annotated[str, typer.Argument(help="where `streamcam run` publishes")] = DEFAULT_ENDPOINT,
    *,
    config: Annotated[
        Path | None, typer.Option(help="a YAML file of who is told; see configs/notify.yaml", show_default=False)
    ] = None,
    on_event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL|CMD",
            help="POST each event to an http:// or https:// URL, or give it to a command; repeatable",
            show_default=False,
        ),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="the folder with your key and the publisher's public one", show_default=False)
    ] = None,
    spool: Annotated[
        Path | None,
        typer.Option(
            help="the folder where events wait on disk (default: one in ~/.local/state/streamcam)", show_default=False
        ),
    ] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Tell others of events: an MQTT broker, Home Assistant, URLs, programs, and services that apprise knows."""
    from streamcam.config.load import make_notify_config
    from streamcam.notify.bridge import Bridge, default_spool, shown_targets
    from streamcam.notify.child import read_on_event

    told = [*(on_event or []), *(read_on_event() if with_parent else [])]
    checked = make_notify_config({"spool": spool}, on_event=told, file=config)
    folder = checked.spool or default_spool(endpoint)
    stop = Event()
    with _stopping(stop, with_parent=with_parent), _printed_log(), Bridge(checked, spool=folder) as bridge:
        print(f"events of {endpoint} are told to {shown_targets(bridge.outlets)}", file=sys.stderr)
        bridge.run(endpoint, keys=keys, stop=stop)
        bridge.close()
        print(bridge.summary(), file=sys.stderr)


@contextmanager
def _stopping(stop: Event, *, with_parent: bool) -> Iterator[None]:
    """Set `stop` at Ctrl-C, at SIGTERM, and when the parent has ended. A second signal ends the process as usual."""

    def on_signal(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    if with_parent:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which has events to send still
        Thread(target=_stop_with_parent, args=[stop], daemon=True).start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_with_parent(stop: Event) -> None:
    from streamcam.child import await_end_of_parent

    await_end_of_parent()
    stop.set()


@contextmanager
def _printed_log() -> Iterator[None]:
    """Print what is logged of telling events and of the connection, a line each."""
    log, handler = logging.getLogger("streamcam"), _Lines()
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print(one_line(record.getMessage()), file=sys.stderr, flush=True)
