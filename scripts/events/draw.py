"""Draw rules' scores over time on measured footage, and their events, without computing anything again.

    python -m scripts.events.draw VIDEO [CLEAN] --cache FOLDER -o docs/events-try.png --only to-the-right up

The chart is that of trying rules on recorded footage, from the cache of `measure.py`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.events.cache import Cache, scores_of
from scripts.events.footage import find_footage
from scripts.events.judge import find_events
from scripts.events.measure import HERE, with_quiet
from streamcam.config.run import RunConfig
from streamcam.config.yaml_file import read_yaml
from streamcam.errors import StreamcamError
from streamcam.event import Event, event_id
from streamcam.events.chart import draw_chart
from streamcam.events.track import Observation


def events_of(config: RunConfig, name: str, seen: Sequence[Observation]) -> list[Event]:
    """Find a rule's events in its scores, as the chart takes them."""
    rule, found = config.events[name], list[Event]()
    for event in find_events(rule, seen):
        begin_s, end_s = event.span.start_s, event.span.end_s
        peak = max((at for at in seen if begin_s <= at.pts_s <= end_s), key=lambda at: at.score)
        start_ns = round(begin_s * 1e9)
        found.append(
            Event(
                id=event_id(name, "file", start_ns),
                state="end",
                rule=name,
                source="file",
                session=0,
                zone=rule.zone,
                label=rule.classes[0],
                start_pts_s=begin_s,
                pts_s=end_s,
                start_ns=start_ns,
                score=seen[-1].score,
                peak=peak.score,
                peak_pts_s=peak.pts_s,
            )
        )
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("video", type=Path, nargs="+", help="the one to draw; then what it was made of")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--rules", type=Path, default=HERE / "rules.yaml")
    parser.add_argument("--only", nargs="+", required=True, help="these rules")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .png")
    parser.add_argument("--title", default="")
    return parser.parse_args(arguments)


def draw(options: argparse.Namespace) -> None:
    """Write the chart."""
    config = RunConfig(**read_yaml(options.rules))
    footage = next(each for each in find_footage(options.video) if each.video == options.video[0])
    scores = scores_of(footage, config, Cache(options.cache))
    rules = {name: config.events[name] for name in options.only}
    seen = {name: with_quiet(rule, name, scores) for name, rule in rules.items()}
    events = [event for name in rules for event in events_of(config, name, seen[name])]
    options.out.write_bytes(draw_chart(rules, seen, events, options.title or footage.video.name))


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    try:
        draw(options)
    except StreamcamError as e:
        print(f"draw: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
