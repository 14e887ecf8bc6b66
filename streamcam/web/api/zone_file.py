"""The zones and rules of a file of `streamcam run`, and changes of its zones. The file is its owner's own.

A change touches nothing else in the file. It is written only if the whole file, read once more, says what it said
before but for that zone, and if `streamcam run` takes it.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from streamcam.config.events import Name, Point, RuleConfig, ZoneConfig
from streamcam.config.load import make_config
from streamcam.config.yaml_edit import CannotEditError, YamlText, scalar
from streamcam.config.yaml_file import MAX_FILE_BYTES, parse_yaml, read_yaml
from streamcam.errors import StreamcamError
from streamcam.files import complete_or_absent
from streamcam.strict import describe

DECIMALS = 4
"""Of a corner: a hundredth of a percent of the picture, which is a fifth of a pixel of 1080p."""


class ZoneConflictError(StreamcamError):
    """The change does not go with what is in the file now."""


class _Places(BaseModel):
    """The keys of a file that matter here. It may lack the others: they can be given on the command line."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    zones: dict[Name, ZoneConfig] = {}
    events: dict[Name, RuleConfig] = {}


_one_zone = TypeAdapter(dict[Name, ZoneConfig])


@dataclass(frozen=True, slots=True)
class Zones:
    """What a file says of zones."""

    zones: dict[str, ZoneConfig]
    rules: dict[str, RuleConfig]
    version: str
    """Of the file's content: another content has another."""

    def rules_of(self, zone: str) -> list[str]:
        """Return the names of the rules that are about a zone."""
        return [name for name, rule in self.rules.items() if rule.zone == zone]


def read_zones(file: Path) -> Zones:
    """Read the zones and rules of a file.

    Raises:
        StreamcamError: it cannot be read, or a zone or rule in it has a mistake.
    """
    version = _version(_read_bytes(file))
    try:
        places = _Places.model_validate(read_yaml(file))
    except ValidationError as e:
        raise StreamcamError(f"{file}: {describe(e.errors()[0])}") from None
    return Zones(places.zones, places.events, version)


def problem_with(name: str, polygon: object, source: str | None) -> str | None:
    """Say what is wrong with a zone, as `streamcam run` would; None for nothing."""
    try:
        _one_zone.validate_python({name: {"polygon": polygon, "source": source}})
    except ValidationError as e:
        return describe(e.errors()[0]).removeprefix(f"{name}.").removeprefix(f"{name}: ")
    return None


def rounded(polygon: Sequence[Point]) -> list[Point]:
    """Round corners as they are written to a file."""
    return [(round(x, DECIMALS), round(y, DECIMALS)) for x, y in polygon]


def zone_text(polygon: Sequence[Point], source: str | None) -> str:
    """Write a zone in YAML's flow style, on one line."""
    of_source = "" if source is None else f", source: {scalar(source)}"
    return f"{{polygon: {polygon_text(polygon)}{of_source}}}"


def polygon_text(polygon: Sequence[Point]) -> str:
    """Write corners: [[0.1, 0.2], [0.6, 0.2], [0.6, 0.9]]."""
    return f"[{', '.join(f'[{_number(x)}, {_number(y)}]' for x, y in polygon)}]"


class ZoneFile:
    """A file whose zones can be changed, by one thread at a time."""

    def __init__(self, file: Path) -> None:
        """Take the file; it is read at each change."""
        self.file = file
        self._lock = Lock()

    def save(
        self,
        name: str,
        polygon: Sequence[Point],
        source: str | None,
        *,
        replaces: str | None = None,
        version: str | None = None,
    ) -> None:
        """Add a zone, or put it in the place of another one, whose rules then are about the new one.

        Args:
            name: the zone's name.
            polygon: its corners.
            source: the source's name; None for all sources.
            replaces: the name of the zone that it replaces; None to add one.
            version: of the file that the change is about; None for any.

        Raises:
            ZoneConflictError: there is a zone of that name, none to replace, or the file is another one by now.
            StreamcamError: the zone has a mistake, or the file cannot be changed.
        """
        if problem := problem_with(name, polygon, source):
            raise StreamcamError(problem)

        def change(text: YamlText, zones: Zones) -> None:
            if name in zones.zones and name != replaces:
                raise ZoneConflictError(f"there is a zone {name} already: replace it, or choose another name")
            if replaces is None:
                text.set("zones", name, value=zone_text(polygon, source))
                return
            if replaces not in zones.zones:
                raise ZoneConflictError(f"there is no zone {replaces} to replace")
            _replace(text, replaces, polygon, source)
            if name != replaces:
                text.rename("zones", replaces, name=name)
                for rule in zones.rules_of(replaces):
                    text.set("events", rule, "zone", value=scalar(name))

        def expect(keys: dict[str, Any], zones: Zones) -> dict[str, Any]:
            return _with_zone(keys, zones, name, polygon, source, replaces)

        self._change(change, expect, version)

    def delete(self, name: str, *, version: str | None = None) -> None:
        """Delete a zone that no rule is about.

        Raises:
            ZoneConflictError: there is no such zone, a rule is about it, or the file is another one by now.
            StreamcamError: the file cannot be changed.
        """

        def change(text: YamlText, zones: Zones) -> None:
            if name not in zones.zones:
                raise ZoneConflictError(f"there is no zone {name!r}")
            if rules := zones.rules_of(name):
                raise ZoneConflictError(f"{', '.join(rules)} is about the zone {name}: change that rule first")
            text.remove("zones", name)

        def expect(keys: dict[str, Any], _: Zones) -> dict[str, Any]:
            return keys | {"zones": {other: zone for other, zone in keys["zones"].items() if other != name}}

        self._change(change, expect, version)

    def _change(
        self,
        change: Callable[[YamlText, Zones], None],
        expect: Callable[[dict[str, Any], Zones], dict[str, Any]],
        version: str | None,
    ) -> None:
        with self._lock:
            before, zones = _read_bytes(self.file), read_zones(self.file)
            if version not in (None, zones.version) or zones.version != _version(before):
                raise ZoneConflictError(f"{self.file.name} has been changed meanwhile: look at it, and try again")
            try:
                text = YamlText(before.decode())
                expected = expect(deepcopy(text.content), zones)
                change(text, zones)
                # By their texts, since nan is not equal to itself, and since the order is to stay, too.
                if repr(text.content) != repr(expected):
                    raise CannotEditError("something else would change")
            except (CannotEditError, yaml.YAMLError, ValueError, UnicodeError):
                raise StreamcamError(
                    f"{self.file.name} is written in a way that cannot be changed here: copy the YAML into it by hand"
                ) from None
            self._write(text.text.encode(), before, expected)

    def _write(self, after: bytes, before: bytes, keys: dict[str, Any]) -> None:
        """Put the new content in the file's place if a run takes it, and keep the old one as NAME.bak."""
        file = self.file.resolve()  # a link stays one
        if len(after) > MAX_FILE_BYTES:
            raise StreamcamError(f"{self.file.name} would be longer than {MAX_FILE_BYTES >> 10} KiB")
        with complete_or_absent(file) as partial:
            partial.write_bytes(after)
            shutil.copymode(file, partial)
            with suppress(PermissionError):
                os.chown(partial, file.stat().st_uid, file.stat().st_gid)
            try:
                make_config({} if "sources" in keys else {"sources": ["sample"]}, file=partial)
            except StreamcamError as e:
                raise StreamcamError(f"not saved: {str(e).replace(str(partial), self.file.name)}") from None
            if _read_bytes(file) != before:
                raise ZoneConflictError(f"{self.file.name} has been changed meanwhile: look at it, and try again")
            shutil.copy2(file, file.with_name(f"{file.name}.bak"))


def _replace(text: YamlText, name: str, polygon: Sequence[Point], source: str | None) -> None:
    """Change a zone's keys one by one, so that comments beside them stay."""
    text.set("zones", name, "polygon", value=polygon_text(polygon))
    if source is not None:
        text.set("zones", name, "source", value=scalar(source))
    elif text.has("zones", name, "source"):
        text.remove("zones", name, "source")


def _with_zone(
    keys: dict[str, Any],
    zones: Zones,
    name: str,
    polygon: Sequence[Point],
    source: str | None,
    replaces: str | None,
) -> dict[str, Any]:
    """Return a file's keys with a zone that was added, or has replaced another one."""
    corners = parse_yaml(polygon_text(polygon))  # 0 and 1 are integers there
    known: dict[str, Any] = keys.get("zones") or {}
    if replaces is None:
        zone: dict[str, Any] = {"polygon": corners} | ({} if source is None else {"source": source})
        return keys | {"zones": known | {name: zone}}
    zone = known[replaces] | {"polygon": corners, "source": source}
    if source is None:
        del zone["source"]
    keys["zones"] = {
        name if other == replaces else other: zone if other == replaces else known[other] for other in known
    }
    for rule in zones.rules_of(replaces):
        keys["events"][rule]["zone"] = name
    return keys


def _number(value: float) -> str:
    return f"{value:.{DECIMALS}f}".rstrip("0").removesuffix(".")


def _read_bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1)
    except OSError as e:
        raise StreamcamError(f"cannot read {file}: {e.strerror or e}") from e


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
