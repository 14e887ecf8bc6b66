"""Reads groups of classes: which of a model's classes are added up, and what the sum is called."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, RootModel, StringConstraints, ValidationError

from streamcam.config.yaml_file import read_yaml
from streamcam.errors import StreamcamError
from streamcam.strict import describe

READY = {"things": Path(__file__).resolve().parents[1] / "data" / "things.yaml"}
"""The groups that come along, by name. `scripts/groups.py` makes them."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]


class GroupsFile(RootModel[dict[Name, Annotated[list[Name], Field(min_length=1)]]]):
    """The name of each group, and the names of its classes."""


def read_groups(choice: str, classes: Sequence[str]) -> dict[str, list[str]] | None:
    """Read the groups that somebody chose. None: classes are shown as they are.

    Args:
        choice: `none`; a name of `READY`; a YAML file; or `auto`, which is `things` for a model that knows all of its
            classes, as those of ImageNet do, and `none` for others.
        classes: the names of the model's classes.

    Raises:
        StreamcamError: there is no such file, or it does not hold groups.
    """
    if choice == "none":
        return None
    if choice == "auto":
        groups = _read(READY["things"])
        known = set(classes)
        return groups if all(name in known for names in groups.values() for name in names) else None
    if choice not in READY and not Path(choice).suffix:
        raise StreamcamError(f"no such groups: {choice} (use auto, none, {', '.join(READY)}, or a .yaml file)")
    return _read(READY.get(choice, Path(choice)))


def _read(path: Path) -> dict[str, list[str]]:
    try:
        return GroupsFile.model_validate(read_yaml(path)).root
    except ValidationError as e:
        raise StreamcamError(
            f"{path}: {describe(e.errors()[0])} (expected lines such as 'cat: [tabby, Siamese cat]')"
        ) from None
