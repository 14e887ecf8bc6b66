"""Finds the classes that people name, in a model's list of classes, and adds classes up to groups."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from streamcam.errors import StreamcamError
from streamcam.models.spec import Groups, ModelSpec


def grouped(spec: ModelSpec, groups: Mapping[str, Sequence[str]] | None) -> ModelSpec:
    """Give the spec with classes added up to groups; None gives the spec as it is.

    The groups come first, in their order. Then come the classes that are in none, in the model's order.

    Args:
        spec: the model's description, without groups.
        groups: the name of each group, and those of its classes.

    Raises:
        StreamcamError: the model has no such class, or one is in two groups, or two have the same name then, or the
            model has several classes true at once.
    """
    if groups is None:
        return spec
    if spec.groups is not None:
        raise StreamcamError(f"classes of {spec.name} are added up to groups already")
    if spec.multi_label:
        raise StreamcamError(f"classes of {spec.name} can be true at once, and cannot be added up: leave groups out")
    group_of: dict[int, str] = {}
    for group, names in groups.items():
        for name in names:
            index = class_index(name, spec.classes, of=spec.name)
            if group_of.setdefault(index, group) != group:
                raise StreamcamError(
                    f"{name!r} is in two groups, {group_of[index]!r} and {group!r}: leave it out of one"
                )
    left = [i for i in range(len(spec.classes)) if i not in group_of]
    members = [tuple(i for i in group_of if group_of[i] == group) for group in groups] + [(i,) for i in left]
    names = [*groups, *(spec.classes[i] for i in left)]
    twice = next((name for name in groups if names.count(name) > 1), None)
    if twice is not None:
        raise StreamcamError(f"the group {twice!r} has the name of a class that is not in it: give it another name")
    scale = spec.heat_scale
    return replace(
        spec,
        classes=tuple(names),
        heat_scale=tuple(max(scale[i] for i in of) for of in members) if isinstance(scale, tuple) else scale,
        groups=Groups(spec.classes, tuple(members)),
    )


def find_classes(spec: ModelSpec, names: str | Sequence[str] | None) -> list[int] | None:
    """Find the indices of classes by their names; None gives None.

    Args:
        spec: the model's description.
        names: one text with commas between the names, or a list in which each item is one name.

    Returns:
        The indices, without repetitions, in the order of the names.

    Raises:
        StreamcamError: the model has no such class, or several that differ from the name by case only.
    """
    if names is None:
        return None
    listed = split_names(names, [*spec.classes, *spec.network_classes]) if isinstance(names, str) else names
    if isinstance(names, str) and not listed:
        raise StreamcamError(f"{names!r} names no class: leave it out, or name one of {spec.name}'s")
    return list(dict.fromkeys(_shown_index(spec, name) for name in listed))


def shown_index(spec: ModelSpec, name: str) -> int:
    """Find the class that a model shows for a name: the class of this name, or else the group that it is in.

    Raises:
        StreamcamError: as for `class_index`.
    """
    if spec.groups is None or name in spec.classes:
        return class_index(name, spec.classes, of=spec.name)
    if name not in spec.network_classes and any(name.casefold() == shown.casefold() for shown in spec.classes):
        return class_index(name, spec.classes, of=spec.name)
    own = class_index(name, [*spec.network_classes, *spec.classes], of=spec.name)
    if own >= len(spec.network_classes):
        return own - len(spec.network_classes)
    return next(g for g, members in enumerate(spec.groups.members) if own in members)


def _shown_index(spec: ModelSpec, name: str) -> int:
    """Find a class that somebody asks for. One that is in a group with others is not shown on its own."""
    index = shown_index(spec, name)
    if (
        spec.groups is not None
        and len(spec.groups.members[index]) > 1
        and name.casefold() != spec.classes[index].casefold()
    ):
        raise StreamcamError(
            f"{name!r} is in the group {spec.classes[index]!r}: ask for that, or leave groups out (--group none)"
        )
    return index


def split_names(text: str, classes: Sequence[str]) -> list[str]:
    """Split names at commas, except commas that are part of a class's name.

    >>> split_names("nod, wave, slowly", ["nod", "wave", "wave, slowly"])
    ['nod', 'wave, slowly']
    """
    known = {name.casefold() for name in classes}
    longest = 1 + max(name.count(",") for name in classes)
    names, parts = [], text.split(",")
    while parts:
        # Join as many parts as make the name of a class, the most first; a part that makes none is a name of its own.
        candidates = [",".join(parts[:count]).strip() for count in range(min(longest, len(parts)), 0, -1)]
        name = next((name for name in candidates if name.casefold() in known), candidates[-1])
        names.append(name)
        parts = parts[len(candidates) - candidates.index(name) :]
    return [name for name in names if name]


def class_index(name: str, classes: Sequence[str], *, of: str) -> int:
    """Find a class by its exact name, or else by a name that differs in case only.

    ImageNet has a dog `Cardigan` and a garment `cardigan`, so the exact name comes first.

    Args:
        name: the class's name, as somebody wrote it.
        classes: the names of all classes.
        of: the model, for error messages.

    Raises:
        StreamcamError: there is no such class, or several that differ from the name by case only.
    """
    if name in classes:
        return classes.index(name)
    alike = [i for i, class_name in enumerate(classes) if class_name.casefold() == name.casefold()]
    if len(alike) > 1:
        raise StreamcamError(
            f"{of} has {' and '.join(repr(classes[i]) for i in alike)}: write one of them, not {name!r}"
        )
    if not alike:
        raise StreamcamError(f"{of} has no class {name!r} ({_suggestion(name, classes)})")
    return alike[0]


def _suggestion(name: str, classes: Sequence[str]) -> str:
    """Suggest up to three classes whose names are close to this one."""
    spelling = {class_name.casefold(): class_name for class_name in reversed(classes)}
    close = get_close_matches(name.casefold(), spelling, n=3)
    return f"did you mean {' or '.join(spelling[key] for key in close)}?" if close else f"it has {len(classes)} others"
