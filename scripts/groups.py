"""Makes the groups of classes that come along, streamcam/data/things.yaml, from WordNet's tree.

    apt-get download wordnet-base && dpkg -x wordnet-base_*.deb wordnet
    python -m scripts.groups wordnet/usr/share/wordnet/data.noun

Each group is a place in the tree (a synset), with all of ImageNet's classes below it. Where two places lie above a
class, the nearer one gets it. `MOVED` says which classes belong elsewhere for people who look at pictures. Classes in
no group stay by themselves. ImageNet has next to no people (scuba diver, groom, ballplayer): there is no group of them.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamcam.config.groups import READY
from streamcam.models.imagenet import LABELS

GROUPS: Mapping[str, Sequence[str]] = {
    "dog": ["dog"],
    "wolf or fox": ["wolf", "fox", "wild dog"],
    "cat": ["domestic cat"],
    "big cat": ["big cat"],
    "bear": ["bear"],
    "horse": ["horse"],
    "cattle": ["bovine"],
    "sheep or goat": ["sheep", "goat"],
    "antelope": ["antelope"],
    "pig": ["swine"],
    "camel": ["camel", "llama"],
    "elephant": ["elephant"],
    "monkey or ape": ["primate"],
    "rabbit or hare": ["leporid"],
    "rodent": ["rodent"],
    "weasel or otter": ["musteline mammal"],
    "bird": ["bird"],
    "fish": ["fish"],
    "turtle": ["turtle"],
    "lizard": ["lizard"],
    "snake": ["snake"],
    "frog": ["frog"],
    "insect": ["insect"],
    "spider": ["spider"],
    "crab or lobster": ["decapod crustacean"],
    "mushroom": ["fungus"],
    "fruit": ["edible fruit"],
    "vegetable": ["vegetable"],
    "car": ["car"],
    "truck": ["truck"],
    "bus": ["bus"],
    "motorbike": ["motorcycle", "minibike"],
    "bicycle": ["bicycle"],
    "train": ["train", "locomotive"],
    "boat or ship": ["vessel"],
    "aircraft": ["aircraft"],
    "musical instrument": ["musical instrument"],
    "chair or sofa": ["seat"],
    "bottle": ["bottle"],
    "hat or helmet": ["hat", "helmet"],
    "shoe": ["footwear"],
    "ball": ["ball"],
}
"""The name of each group, and the places of the tree below which its classes lie."""

SENSES = {
    "vessel": "craft",
    "ball": "game equipment",
    "bus": "public transport",
    "seat": "furniture",
    "train": "public transport",
}
"""Words with several places in the tree: those below this other place count."""

MOVED = {
    "crane bird": "bird",
    "water buffalo": "cattle",
    "bison": "cattle",
    "bighorn": "sheep or goat",
    "mushroom": "mushroom",
    "mashed potato": None,
    "minivan": "car",
    "moped": "motorbike",
    "motor scooter": "motorbike",
    "freight car": "train",
    "passenger car": "train",
    "brass": None,  # a plate with an inscription
    "toilet seat": None,
    "Christmas stocking": None,
    "maillot": None,
    "sock": None,
}
"""Classes that the tree puts elsewhere, and the group that they belong to. A minivan is a truck to WordNet."""


Found = tuple[int, list[int | None]]
"""The cost of the numbers that were found for the first classes, and these numbers."""


@dataclass(frozen=True, slots=True)
class Synset:
    """A place in WordNet's tree."""

    words: tuple[str, ...]
    above: tuple[int, ...]
    """The places right above it."""


def read_nouns(path: Path) -> dict[int, Synset]:
    """Read WordNet's nouns: the number of each synset, and the synset. wndb(5WN) describes the file."""
    nouns = {}
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("  "):  # the licence, at the top
            continue
        fields = line.partition("|")[0].split()
        count = int(fields[3], 16)
        words, pointers = fields[4 : 4 + 2 * count : 2], fields[5 + 2 * count :]
        above = [int(pointers[i + 1]) for i in range(0, len(pointers) - 3, 4) if pointers[i] in ("@", "@i")]
        nouns[int(fields[0])] = Synset(tuple(word.replace("_", " ") for word in words), tuple(above))
    return nouns


def find_classes(nouns: Mapping[int, Synset]) -> list[int | None]:
    """Find the synset of each of ImageNet's classes; None where no synset has its name.

    A name may be that of several synsets. But the classes are in the order of their synsets' numbers. So we take the
    ascending numbers that leave out the fewest classes, and then those with the most first words of their synsets.
    """
    by_word: defaultdict[str, list[int]] = defaultdict(list)
    for number, synset in nouns.items():
        for word in dict.fromkeys(map(_plain, synset.words)):
            by_word[word].append(number)
    paths: dict[int, Found] = {-1: (0, [])}  # by the last number of each
    for label in LABELS:
        costs: dict[int | None, int] = {None: 10}
        costs |= {n: int(_plain(nouns[n].words[0]) != _plain(label)) for n in by_word[_plain(label)]}
        paths = _longer(paths, costs)
    return min(paths.values(), key=lambda path: path[0])[1]


def _longer(paths: Mapping[int, Found], costs: Mapping[int | None, int]) -> dict[int, Found]:
    """Go on with each path by each number that ascends, and keep those that may still turn out the best."""
    longer: dict[int, Found] = {}
    for last, (cost, found) in paths.items():
        for number, more in costs.items():
            end = last if number is None else number
            ascends = number is None or number > last
            if ascends and (end not in longer or cost + more < longer[end][0]):
                longer[end] = (cost + more, [*found, number])
    kept: dict[int, Found] = {}
    for end in sorted(longer):  # a path that ends later and costs no less is of no use
        if all(longer[end][0] < cost for cost, _ in kept.values()):
            kept[end] = longer[end]
    return kept


def _plain(name: str) -> str:
    return name.lower().replace("'", "").replace("-", " ")


def above(number: int, nouns: Mapping[int, Synset]) -> Iterator[int]:
    """Yield a synset, and those above it, the nearest first."""
    level, seen = [number], set()
    while level:
        yield from (n for n in level if n not in seen)
        seen |= set(level)
        level = [n for m in level for n in nouns[m].above if n not in seen]


def place_of(word: str, nouns: Mapping[int, Synset], used: set[int]) -> set[int]:
    """Find the synsets with a word that lie above ImageNet's classes, or the one that `SENSES` says."""
    places = {n for n in used if _plain(word) in map(_plain, nouns[n].words)}
    if word in SENSES:
        places = {n for n in places if any(SENSES[word] in nouns[m].words for m in above(n, nouns))}
    return places


def make_groups(nouns: Mapping[int, Synset]) -> dict[str, list[str]]:
    """Make the groups: the name of each, and its classes in ImageNet's order."""
    found = find_classes(nouns)
    used = {n for number in found if number is not None for n in above(number, nouns)}
    group_at = {n: group for group, words in GROUPS.items() for word in words for n in place_of(word, nouns, used)}
    members: dict[str, list[str]] = {group: [] for group in GROUPS}
    for label, number in zip(LABELS, found, strict=True):
        group = next((group_at[n] for n in above(number, nouns) if n in group_at), None) if number is not None else None
        group = MOVED.get(label, group)
        if group is not None:
            members[group].append(label)
    return members


def main() -> None:
    """Write the groups."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nouns", type=Path, help="WordNet 3.0's data.noun")
    groups = make_groups(read_nouns(parser.parse_args().nouns))
    lines = ["# Groups of ImageNet's classes, made by scripts/groups.py from WordNet 3.0."]
    for group, names in groups.items():
        lines += [f"{group}:", *(f'  - "{name}"' for name in names)]
    READY["things"].write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
