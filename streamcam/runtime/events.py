"""Makes the rules of a run, and what keeps and tells their events."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from subprocess import Popen

from streamcam.child import stop_child
from streamcam.config.events import EventFilesConfig
from streamcam.config.run import MAX_CLASSES, RunConfig
from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.events.detector import EventDetector, OnObservation
from streamcam.events.recording.event_files import EventFiles
from streamcam.events.rules import find_rules
from streamcam.events.sink import EventSink
from streamcam.events.store.indexer import Indexer
from streamcam.heat.results import HeatContext
from streamcam.models.spec import ModelSpec
from streamcam.notify.child import start_bridge
from streamcam.sources.video import VideoSource
from streamcam.transport.publisher import Publisher

BRIDGE_S = 15.0
"""A bridge that has not subscribed by then is not waited for any longer."""


@dataclass(frozen=True, slots=True)
class EventHooks:
    """Who else is told of what the rules find, on the output thread."""

    observe: OnObservation | None = None
    """Called with the score of each rule at each moment."""
    tell: Callable[[Event], None] = lambda _: None
    """Called with each record of an event."""


NO_HOOKS = EventHooks()


def require_rules(config: RunConfig, spec: ModelSpec) -> None:
    """Check that the rules' classes exist, before a network is loaded; and their sources, as far as they are named.

    Raises:
        StreamcamError: one does not, or the network has too many classes.
    """
    if not config.events:
        return
    if len(spec.classes) > MAX_CLASSES:
        raise StreamcamError(
            f"events need the heat of all classes, and {spec.name} has {len(spec.classes)}, above {MAX_CLASSES}: "
            "add them up with --group"
        )
    named = [source.name for source in config.sources]
    wanted = [zone.source for zone in config.zones.values()] + [rule.source for rule in config.events.values()]
    # A source without a name gets one when it is opened, and may be the one that is meant.
    sources = [name for name in (named if None not in named else named + wanted) if name is not None]
    find_rules(config.events, config.zones, labels=spec.classes, sources=sources)


def watched_rules(config: RunConfig, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return each rule with each source that it is for, as names: the source's and the rule's."""
    watched = []
    for rule, wanted in config.events.items():
        zone_source = config.zones[wanted.zone].source if wanted.zone is not None else None
        only = wanted.source or zone_source
        watched += [(name, rule) for name in names if only in (None, name)]
    return watched


def open_events(
    config: RunConfig,
    sources: Sequence[VideoSource],
    context: HeatContext,
    publisher: Publisher | None,
    hooks: EventHooks,
    stack: ExitStack,
) -> EventSink:
    """Make the sink that finds a run's events.

    Args:
        config: has zones and rules.
        sources: all that are open.
        context: of the network, whose classes the rules name.
        publisher: where events go, if anywhere.
        hooks: who else is told.
        stack: ends the events and completes their files, before it closes the publisher.

    Raises:
        StreamcamError: there is no such class or source, the folder for files cannot be made, or nobody can be told.
    """
    names = [source.name for source in sources]
    rules = find_rules(config.events, config.zones, labels=context.labels, sources=names)
    link = context.link

    def publish(event: Event) -> None:
        if publisher is not None:
            publisher.send_event(event)
        hooks.tell(event)

    detector = EventDetector(rules, link=link, observe=hooks.observe)
    files = None if config.event_files is None else _open_files(config.event_files, sources, context, stack)
    if config.on_event and publisher is not None:
        bridge = start_bridge(publisher.endpoint, config.on_event, config.keys)
        stack.callback(stop_child, bridge)  # after the sink below, which ends all events
        _await_bridge(bridge, publisher, names)
    sink = EventSink(detector, sources, tell=publish, files=files, lossless=config.as_fast_as_possible)
    return stack.enter_context(sink)


def _open_files(
    config: EventFilesConfig, sources: Sequence[VideoSource], context: HeatContext, stack: ExitStack
) -> EventFiles:
    """Make what writes events' files, and the index of them."""
    indexer = stack.enter_context(closing(Indexer(config)))
    rings = {source.name: source.ring for source in sources if source.ring is not None}
    return EventFiles(config, rings, labels=context.labels, saved=indexer.add)


def _await_bridge(bridge: Popen[bytes], publisher: Publisher, names: Sequence[str]) -> None:
    """Wait until the bridge has subscribed to the events of all sources: it would miss those before."""
    end_s = time.monotonic() + BRIDGE_S
    publisher.send_directory(names)  # it subscribes to the sources that are listed there
    while time.monotonic() < end_s and not all(publisher.wants(name, "event") for name in names):
        if bridge.poll() is not None:
            raise StreamcamError("on_event: nobody can be told of events; the line above says why")
        publisher.serve()
        time.sleep(0.02)
