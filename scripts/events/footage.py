"""Videos, and the footage that each was made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.footage.flow_check import find_videos
from streamcam.config.events import ZoneConfig
from streamcam.errors import StreamcamError


@dataclass(frozen=True, slots=True)
class Footage:
    """A video, and the one that tells what is true of it."""

    video: Path
    clean: Path
    kind: str
    """What disturbs it; plain for nothing."""
    kept: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """The part of the clean picture that is seen: left, top, right, bottom."""
    bursts: tuple[tuple[float, float], ...] = ()
    """When it is disturbed, in seconds: begin and end of each burst. Of clean footage: what it is compared with."""

    def in_clean(self, zone: ZoneConfig) -> list[tuple[float, float]]:
        """Return a zone's corners as fractions of the clean picture."""
        left, top, right, bottom = self.kept
        return [(left + x * (right - left), top + y * (bottom - top)) for x, y in zone.polygon]


def find_footage(paths: Sequence[Path]) -> list[Footage]:
    """Find all videos, and what each was made of. Clean ones have the bursts of the first that was made of them."""
    videos = find_videos(paths)
    names = {video.name: video for video in videos}
    found = [_footage(video, names) for video in videos]
    bursts = {footage.clean: footage.bursts for footage in reversed(found) if footage.bursts}
    return [replace(footage, bursts=footage.bursts or bursts.get(footage.video, ())) for footage in found]


def _footage(video: Path, names: Mapping[str, Path]) -> Footage:
    about = video.with_suffix(".json")
    if not about.exists():
        return Footage(video, video, "plain")
    made = json.loads(about.read_text(encoding="utf-8"))
    if made["kind"] == "none":
        return Footage(video, video, "plain")
    if made["of"] not in names:
        raise StreamcamError(f"{video} was made of {made['of']}: give that, too")
    left, top, right, bottom = made["kept"]
    bursts = tuple((burst["start_s"], burst["end_s"]) for burst in made["bursts"])
    return Footage(video, names[made["of"]], made["kind"], (left, top, right, bottom), bursts)
