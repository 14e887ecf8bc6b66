"""What a configuration's rules would have done on recorded footage."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from streamcam.config.events import RuleConfig
from streamcam.config.run import RunConfig
from streamcam.config.source import SourceConfig
from streamcam.errors import StreamcamError
from streamcam.event import Event
from streamcam.events.rules import Rule
from streamcam.events.track import Observation
from streamcam.records import Result
from streamcam.runtime.app import assemble, run
from streamcam.runtime.events import EventHooks
from streamcam.sinks.base import Sink


@dataclass(frozen=True, slots=True)
class Trial:
    """The scores and the events of rules on one file."""

    rules: Mapping[str, RuleConfig]
    """The rules that apply to the file, by name, as they were configured."""
    scores: Mapping[str, Sequence[Observation]]
    """By rule: its score at each moment."""
    events: Sequence[Event]
    """The last record of each event, in the order in which they began."""


def try_rules(
    config: RunConfig,
    file: str,
    *,
    source: str | None = None,
    show: Callable[[float, float | None], None] = lambda _done, _all: None,
) -> Trial:
    """Run the rules over a file, as fast as it goes. Nothing is published or kept, and schedules do not count.

    Args:
        config: has zones and rules.
        file: the recorded footage.
        source: which of the configuration's sources the file stands for; not needed where there is one.
        show: called with how many seconds are done, and how many there are.

    Raises:
        StreamcamError: there is no rule, the source is not one of the configuration's, or the file cannot be read.
    """
    if not config.events:
        raise StreamcamError("there is no rule for events: give `events` in the file (docs/events.md)")
    name = _source_name(config, source)
    _require_sources(config)
    rules = {key: rule for key, rule in config.events.items() if _source_of(config, rule) in (None, name)}
    if not rules:
        raise StreamcamError(f"no rule is for the source {name!r}: give another --source")
    trial_config = config.model_copy(
        update={
            **dict.fromkeys(("bind", "keys", "record", "save_heat", "summary_json", "event_files", "on_event")),
            **dict.fromkeys(("metrics_bind", "max_frames", "seconds")),
            **dict.fromkeys(("view", "web", "loop"), False),
            "sources": [SourceConfig(uri=file, name=name)],
            "zones": {key: zone for key, zone in config.zones.items() if zone.source in (None, name)},
            "events": {key: rule.model_copy(update={"schedule": None}) for key, rule in rules.items()},
            "as_fast_as_possible": True,
        }
    )
    return _run(trial_config, rules, show)


def _run(config: RunConfig, rules: Mapping[str, RuleConfig], show: Callable[[float, float | None], None]) -> Trial:
    scores: defaultdict[str, list[Observation]] = defaultdict(list)
    events: dict[str, Event] = {}

    def observe(rule: Rule, _source: str, seen: Observation) -> None:
        scores[rule.name].append(seen)

    def tell(event: Event) -> None:
        events[event.id] = event

    progress = _Progress()
    with ExitStack() as stack:
        live = assemble(config, stack, sinks=[progress], hooks=EventHooks(observe, tell))
        duration_s = live.sources[0].duration_s
        run(live, show=lambda _: show(progress.pts_s, duration_s))
        if missing := live.without_window():
            raise StreamcamError(next(iter(missing.values())))
    return Trial(rules, scores, sorted(events.values(), key=lambda event: event.start_pts_s))


class _Progress(Sink):
    """Notes how far the file is."""

    def __init__(self) -> None:
        self.pts_s = 0.0

    def on_window(self, result: Result) -> None:
        self.pts_s = result.frame.pts_s


def _source_name(config: RunConfig, source: str | None) -> str | None:
    """Return the name of the source that the file stands for; None where no source has a name."""
    named = [item.name for item in config.sources if item.name is not None]
    if source is not None:
        if source not in named:
            raise StreamcamError(f"no such source: {source!r} (sources: {', '.join(named) or 'none has a name'})")
        return source
    if len(named) > 1:
        raise StreamcamError(f"which of the sources is it? Give --source, one of {', '.join(named)}")
    return named[0] if named else None


def _require_sources(config: RunConfig) -> None:
    """Check that sources which rules and zones name have these names, as a run would."""
    names = [item.name for item in config.sources]
    of_zones, of_rules = ([item.source for item in part.values()] for part in (config.zones, config.events))
    for wanted in (*of_zones, *of_rules):
        if wanted is not None and wanted not in names:
            raise StreamcamError(f"no source has the name {wanted!r}: sources: [{{uri: …, name: {wanted}}}]")


def _source_of(config: RunConfig, rule: RuleConfig) -> str | None:
    zone = config.zones[rule.zone] if rule.zone is not None else None
    return rule.source or (zone.source if zone is not None else None)
