"""Rules, with the names of a configuration looked up in the model and among the sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from streamcam.config.events import RuleConfig, ZoneConfig
from streamcam.errors import StreamcamError


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a run."""

    name: str
    config: RuleConfig
    labels: tuple[str, ...]
    """The rule's classes, as the model writes them."""
    quiet: Mapping[str, float]
    """By class: the score in the whole picture from which no event begins."""
    polygon: tuple[tuple[float, float], ...] | None
    """The zone's corners; None for the whole picture."""
    source: str | None
    """The source that it is for; None for all."""


def find_rules(
    events: Mapping[str, RuleConfig],
    zones: Mapping[str, ZoneConfig],
    *,
    labels: Sequence[str],
    sources: Sequence[str],
) -> list[Rule]:
    """Look the names in a configuration up.

    Args:
        events: the rules.
        zones: parts of the picture.
        labels: the model's classes, or groups of them.
        sources: the names of all sources.

    Raises:
        StreamcamError: there is no such class or source.
    """
    for name, zone in zones.items():
        if zone.source is not None:
            _known(zone.source, sources, f"zones.{name}: no such source")
    rules = []
    for name, config in events.items():
        where = f"events.{name}: no such"
        place = zones.get(config.zone) if config.zone is not None else None
        source = config.source or (place.source if place is not None else None)
        if source is not None:
            _known(source, sources, f"{where} source")
        rules.append(
            Rule(
                name,
                config,
                labels=tuple(dict.fromkeys(_known(label, labels, f"{where} class") for label in config.classes)),
                quiet={_known(label, labels, f"{where} class"): least for label, least in config.quiet.items()},
                polygon=None if place is None else tuple(place.polygon),
                source=source,
            )
        )
    return rules


def _known(name: str, names: Sequence[str], what: str) -> str:
    """Return a name as it is written among those that exist; case does not count."""
    found = next((known for known in names if known.casefold() == name.casefold()), None)
    if found is not None:
        return found
    close = get_close_matches(name, names, n=1)
    shown = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names[:20])}"
    raise StreamcamError(f"{what}: {name!r} ({shown})")
