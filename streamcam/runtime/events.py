"""Makes the rules of a run, and what keeps and tells their events."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from streamcam.config.events import EventFilesConfig
from streamcam.config.run import MAX_CLASSES, RunConfig
from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.events.detector import EventDetector, OnObservation, find_rules
from streamcam.events.files import EventFiles
from streamcam.events.indexer import Indexer
from streamcam.events.sink import EventSink
from streamcam.events.zones import Link
from streamcam.heat.cam import HeatContext
from streamcam.models.spec import ModelSpec
from streamcam.sources.video import VideoSource
from streamcam.transport.publisher import Publisher


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
        StreamcamError: there is no such class or source, or the folder for files cannot be made.
    """
    names = [source.name for source in sources]
    rules = find_rules(config.events, config.zones, labels=context.labels, sources=names)
    link = Link(context.multi_label, context.temperature)

    def publish(event: Event) -> None:
        if publisher is not None:
            publisher.send_event(event)
        hooks.tell(event)

    detector = EventDetector(rules, link=link, observe=hooks.observe)
    files = None if config.event_files is None else _open_files(config.event_files, sources, context, stack)
    sink = EventSink(detector, sources, tell=publish, files=files, lossless=config.as_fast_as_possible)
    return stack.enter_context(sink)


def _open_files(
    config: EventFilesConfig, sources: Sequence[VideoSource], context: HeatContext, stack: ExitStack
) -> EventFiles:
    """Make what writes events' files, and the index of them."""
    indexer = stack.enter_context(closing(Indexer(config)))
    rings = {source.name: source.ring for source in sources if source.ring is not None}
    return EventFiles(config, rings, labels=context.labels, saved=indexer.add)
