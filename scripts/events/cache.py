"""Scores and truth of footage, kept in a folder: a rule's levels can be changed without computing them again."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.events.footage import Footage
from scripts.events.truth import Moving, watch
from streamcam.clips import transform_of
from streamcam.config.events import RuleConfig
from streamcam.config.run import RunConfig
from streamcam.events.track import Observation
from streamcam.files import write_json
from streamcam.models.registry import find_spec
from streamcam.runtime.trial import try_rules

USUAL = "camera moving", "flickering light"
"""Quiet conditions that are always measured, so that a rule can be tried with and without."""


class Cache:
    """Scores and truth in a folder, by what they depend on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def file(self, what: str, video: Path, depends: object) -> Path:
        """Return where something about a video is kept."""
        content = hashlib.sha256(video.read_bytes()).hexdigest()
        key = json.dumps([what, content, depends], sort_keys=True, default=str)
        return self._folder / f"{what}-{video.stem}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def scores_of(footage: Footage, config: RunConfig, cache: Cache) -> dict[str, list[Observation]]:
    """Compute each rule's score over time, and that of each quiet condition in the whole picture."""
    quiet = sorted({*USUAL, *(label for rule in config.events.values() for label in rule.quiet)})
    rules = {f"rule-{name}": RuleConfig(classes=rule.classes, zone=rule.zone) for name, rule in config.events.items()}
    rules |= {f"quiet-{i}": RuleConfig(classes=[label]) for i, label in enumerate(quiet)}
    probes = {name: {"classes": rule.classes, "zone": rule.zone} for name, rule in rules.items()}
    zones = {name: zone.model_dump() for name, zone in config.zones.items()}
    file = cache.file("scores", footage.video, [probes, zones, config.model])
    if not file.exists():
        trial = try_rules(config.model_copy(update={"events": rules}), str(footage.video))
        write_json(file, {n: [[s.pts_s, s.score, s.step_s] for s in seen] for n, seen in trial.scores.items()})
    kept = json.loads(file.read_text(encoding="utf-8"))
    named = {name.removeprefix("rule-"): name for name in probes if name.startswith("rule-")}
    named |= {f"quiet {label}": f"quiet-{i}" for i, label in enumerate(quiet)}
    return {name: [Observation(t, score, step_s=step) for t, score, step in kept[key]] for name, key in named.items()}


def moving_in(footage: Footage, config: RunConfig, cache: Cache) -> dict[str, Moving]:
    """Measure what moves in each zone of the clean footage; `whole` is the whole picture."""
    zones = {"whole": None, **{name: footage.in_clean(zone) for name, zone in config.zones.items()}}
    file = cache.file("moving", footage.clean, zones)
    if not file.exists():
        transform = transform_of(find_spec(config.model).clip_format)
        found = watch(footage.clean, zones, transform)
        write_json(file, {name: asdict(moving) for name, moving in found.items()})
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {name: Moving(**columns) for name, columns in kept.items()}
