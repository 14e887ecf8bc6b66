"""Finds events in results: rules in, results in, events out. It has no clock, no thread and no file of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

import numpy as np

from streamcam.errors import StreamcamError
from streamcam.event import MAX_TUBE, EndReason, Event, Rectangle, TubeBox, event_id
from streamcam.events.rules import Rule
from streamcam.events.schedule import is_scheduled
from streamcam.events.track import Change, Observation, RuleTrack
from streamcam.events.zones import hottest_box, zone_mask, zone_scores
from streamcam.heat.results import Link
from streamcam.records import Floats, Heat, Result, Transform

UPDATE_EVERY_S = 1.0
"""An event that goes on is told of so often at most, by the stream's time."""


@dataclass
class _Going:
    """What is known of a candidate or event."""

    peak: float = -1.0
    peak_pts_s: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)
    label: str = ""
    box: Rectangle | None = None
    tube: list[TubeBox] = field(default_factory=list)
    told_pts_s: float = 0.0
    event: Event | None = None


@dataclass
class _Watch:
    """A rule on a session of a source."""

    rule: Rule
    session: int
    track: RuleTrack
    going: _Going = field(default_factory=_Going)
    seen_pts_s: float = float("-inf")
    masks: dict[tuple[Transform, tuple[int, int]], Floats] = field(default_factory=dict)


OnObservation = Callable[[Rule, str, Observation], None]
"""Called with each score: the rule, the source's name, and what was observed."""


class EventDetector:
    """The rules of a run on all of its sources."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        link: Link,
        timezone: tzinfo | None = None,
        observe: OnObservation | None = None,
    ) -> None:
        """Take the rules.

        Args:
            rules: of `rules.find_rules`.
            link: the model's own.
            timezone: of schedules; None for this machine's.
            observe: called with each score, as for a chart of them.
        """
        self._rules, self._link, self._timezone, self._observe = rules, link, timezone, observe
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._ended: dict[str, int] = {}  # by source: its last session that was ended from outside

    def push(self, result: Result) -> list[Event]:
        """Take the result of the next window of a source; return what begins, goes on and ends with it.

        Raises:
            StreamcamError: a zone lies outside of what the network sees, or the heat of some class is missing.
        """
        source, session = result.frame.source, result.frame.session
        if result.heat is None or session <= self._ended.get(source, -1):
            return []
        events: list[Event] = []
        for rule in self._rules:
            if rule.source in (None, source):
                watch, ended = self._watch(rule, source, session)
                events += [*ended, *self._push(watch, result, result.heat)]
        return events

    def end_source(self, source: str, session: int, reason: EndReason) -> list[Event]:
        """End the events of a source's session. Results of that session that still come are ignored."""
        self._ended[source] = max(session, self._ended.get(source, -1))
        events = []
        for (name, _), watch in self._watches.items():
            if name == source and watch.session <= session:
                events += self._finish(watch, watch.track.end(reason))
        return events

    def end_all(self, reason: EndReason) -> list[Event]:
        """End all events, as when a run ends."""
        return [event for watch in self._watches.values() for event in self._finish(watch, watch.track.end(reason))]

    def _watch(self, rule: Rule, source: str, session: int) -> tuple[_Watch, list[Event]]:
        """Return the watch over a rule, and the end of the event of an earlier session, if one was open."""
        key = source, rule.name
        before = self._watches.get(key)
        if before is not None and before.session == session:
            return before, []
        ended = self._finish(before, before.track.end("lost")) if before is not None else []
        self._watches[key] = _Watch(rule, session, RuleTrack(rule.config))
        return self._watches[key], ended

    def _push(self, watch: _Watch, result: Result, heat: Heat) -> list[Event]:
        """Take the slices of a window that are newer than what was seen."""
        new = np.flatnonzero(heat.pts_s > watch.seen_pts_s + 1e-6).tolist()
        if not new:
            return []
        mask, first = self._mask(watch, heat), new[0]
        scores = zone_scores(heat, mask, self._link, first=first)
        both = mask is not None and bool(watch.rule.quiet)
        whole = zone_scores(heat, None, self._link, first=first) if both else scores
        rows = {label: k for k, label in enumerate(heat.labels)}
        events: list[Event] = []
        for i in new:
            watch.seen_pts_s = float(heat.pts_s[i])
            events += self._observe_slice(watch, result, heat, i, rows, scores[:, i - first], whole[:, i - first], mask)
        return events

    def _observe_slice(
        self,
        watch: _Watch,
        result: Result,
        heat: Heat,
        i: int,
        rows: Mapping[str, int],
        scores: Floats,
        whole: Floats,
        mask: Floats | None,
    ) -> list[Event]:
        rule, pts_s = watch.rule, float(heat.pts_s[i])
        of_classes = {label: float(scores[rows[label]]) for label in rule.labels}
        # One of exclusive classes is true, so their scores add up; of others, the likeliest counts.
        score = max(of_classes.values()) if self._link.multi_label else min(1.0, sum(of_classes.values()))
        seen = Observation(
            pts_s,
            score,
            step_s=_step_s(heat, result),
            quiet=any(float(whole[rows[label]]) >= least for label, least in rule.quiet.items()),
            scheduled=is_scheduled(rule.config.schedule, self._local(result, pts_s)),
        )
        if self._observe is not None:
            self._observe(rule, result.frame.source, seen)
        before_s, changes = watch.track.begin_pts_s, watch.track.push(seen)
        events = self._finish(watch, [change for change in changes if change.kind == "end"])
        if watch.track.begin_pts_s != before_s:  # also where a candidate gave way to another
            watch.going = _Going()
        if watch.track.begin_pts_s is None:
            return events
        label = max(of_classes, key=of_classes.__getitem__)
        box = hottest_box(heat.cube[rows[label], i] - heat.common[i], mask, heat.transform)
        self._note(watch.going, seen, of_classes, label, box)
        if any(change.kind == "start" for change in changes):
            return [*events, self._start(watch, result, seen)]
        if watch.track.is_open and pts_s - watch.going.told_pts_s >= UPDATE_EVERY_S - 1e-6:
            return [*events, self._tell(watch, seen)]
        return events

    def _note(
        self, going: _Going, seen: Observation, scores: dict[str, float], label: str, box: Rectangle | None
    ) -> None:
        """Note what one moment adds to a candidate or event."""
        if seen.score > going.peak:
            going.peak, going.peak_pts_s, going.scores, going.label, going.box = (
                seen.score,
                seen.pts_s,
                scores,
                label,
                box,
            )
        if box is not None:
            going.tube.append(TubeBox(seen.pts_s, box))
            if len(going.tube) > 2 * MAX_TUBE:
                going.tube = going.tube[::2]

    def _start(self, watch: _Watch, result: Result, seen: Observation) -> Event:
        rule, frame, going = watch.rule, result.frame, watch.going
        begin_s = watch.track.begin_pts_s
        assert begin_s is not None
        start_ns = _unix_ns(result, begin_s)
        going.event = Event(
            id=event_id(rule.name, frame.source, start_ns),
            state="start",
            rule=rule.name,
            source=frame.source,
            session=frame.session,
            zone=rule.config.zone,
            label=going.label,
            start_pts_s=begin_s,
            pts_s=seen.pts_s,
            start_ns=start_ns,
            score=seen.score,
            peak=going.peak,
            peak_pts_s=going.peak_pts_s,
        )
        return self._tell(watch, seen, state_is_start=True)

    def _tell(self, watch: _Watch, seen: Observation, *, state_is_start: bool = False) -> Event:
        going = watch.going
        assert going.event is not None
        going.told_pts_s = seen.pts_s
        going.event = replace(
            _with_peak(going.event, going),
            state="start" if state_is_start else "update",
            pts_s=seen.pts_s,
            score=seen.score,
        )
        return going.event

    def _finish(self, watch: _Watch, changes: Sequence[Change]) -> list[Event]:
        """Make the record of an end, if there is one, and forget the event."""
        going, event = watch.going, watch.going.event
        if not changes:
            return []
        watch.going = _Going()
        assert event is not None
        (change,) = changes
        going.tube = [at for at in going.tube if at.pts_s <= change.pts_s]
        return [replace(_with_peak(event, going), state="end", pts_s=change.pts_s, reason=change.reason)]

    def _mask(self, watch: _Watch, heat: Heat) -> Floats | None:
        """Return the zone's mask on the heat's cells; None for the whole picture."""
        polygon, shape = watch.rule.polygon, heat.cube.shape[2:]
        if polygon is None:
            return None
        key = heat.transform, (shape[0], shape[1])
        if key not in watch.masks:
            mask = zone_mask(polygon, heat.transform, *shape)
            if not mask.any():
                raise StreamcamError(
                    f"zone {watch.rule.config.zone!r} lies outside of what {heat.model} sees of the picture: "
                    f"{heat.transform}"
                )
            watch.masks = {key: mask}
        return watch.masks[key]

    def _local(self, result: Result, pts_s: float) -> datetime:
        return datetime.fromtimestamp(_unix_ns(result, pts_s) / 1e9, self._timezone)


def _with_peak(event: Event, going: _Going) -> Event:
    step = -(-len(going.tube) // MAX_TUBE) or 1
    return replace(
        event,
        label=going.label,
        peak=going.peak,
        peak_pts_s=going.peak_pts_s,
        scores=dict(going.scores),
        box=going.box,
        tube=tuple(going.tube[::step]),
    )


def _step_s(heat: Heat, result: Result) -> float:
    """Return how far apart the moments of heat are on average: of the slices in a window, or else of windows."""
    if len(heat.pts_s) > 1:
        return float(heat.pts_s[-1] - heat.pts_s[0]) / (len(heat.pts_s) - 1)
    return result.hop_s or heat.clip_pts_s[1] - heat.clip_pts_s[0] or 1.0


def _unix_ns(result: Result, pts_s: float) -> int:
    """Return a moment of the stream by this machine's clock, as the newest frame connects the two."""
    return result.frame.captured_ns - round((result.frame.pts_s - pts_s) * 1e9)
