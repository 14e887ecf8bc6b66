"""Kill who writes a folder of events, and who keeps and removes some, at random moments: index and files agree after.

    python -m scripts.events.kill [--events 1000] [--seed 0]

In each round one process saves events and removes the oldest, another marks and removes some, and both are killed by
SIGKILL. Then the folder is opened, as the next run would, and looked at.
"""

import argparse
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.parent import with_parent
from streamcam.errors import StreamcamError
from streamcam.events.event_json import decode_event
from streamcam.events.store.event_store import EventStore
from streamcam.events.store.folders import EVENT_JSON, KEEP, PART, REMOVED, list_folders
from streamcam.events.store.index import INDEX
from streamcam.events.store.retention import Limits, Retention
from tests.support.saved import FILES, make_event, save

MAX_BYTES = 80 * 16_384
"""About so many events stay."""
EACH = "[0-9]*/[0-9]*/[0-9]*/*"
DAY_NS = 86_400_000_000_000


@dataclass(slots=True)
class Report:
    """What was seen."""

    rounds: int = 0
    saved: int = 0
    removed: int = 0
    """Removals that were begun."""
    disagreed: int = 0
    """Rounds after which the index was not what the files are, until the folder was opened."""
    leftovers: int = 0
    """Rounds after which a removal was half done."""


def write(root: Path, journal: Path, clip: Path, seed: int) -> None:
    """Save events until killed, and remove the oldest."""
    chance = random.Random(seed)
    for left in root.glob(f"{EACH}{PART}"):
        shutil.rmtree(left)
    with EventStore(root) as store, journal.open("a", buffering=1) as told:
        retention = Retention(store, Limits(max_bytes=MAX_BYTES))
        print("ready", flush=True)
        while True:
            event = make_event(time.time_ns() - chance.randrange(20 * DAY_NS))
            with suppress(OSError):  # the same id again
                save(root, event, clip)
                told.write(f"saved {event.id}\n")
                store.add(event)
            plan = retention.plan()
            for size in plan.remove:
                told.write(f"removed {size.id}\n")
            retention.apply(plan)


def change(root: Path, journal: Path, seed: int) -> None:
    """Keep events, let them go and remove some, until killed."""
    chance = random.Random(seed)
    print("ready", flush=True)
    with journal.open("a", buffering=1) as told:
        while True:
            with EventStore(root) as store, suppress(StreamcamError):  # the other has removed it
                stored = chance.choice(store.find() or [None])
                if stored is None:
                    continue
                if chance.random() < 0.5:
                    store.keep(stored.event.id, chance.random() < 0.3)
                else:
                    told.write(f"removed {stored.event.id}\n")
                    store.remove(stored.event.id)


def kill_at_random(root: Path, clip: Path, *, events: int, rounds: int, seed: int = 0) -> Report:
    """Go on until so many events were saved, and for so many rounds at least.

    Raises:
        AssertionError: index and files do not agree, an event is lost, or a clip cannot be read.
    """
    chance, report, journal = random.Random(seed), Report(), root.with_name(f"{root.name}.journal")
    journal.touch()
    root.mkdir(exist_ok=True)
    while report.saved < events or report.rounds < rounds:
        arguments = (str(root), str(journal), str(clip), str(chance.randrange(1 << 30)))
        workers = [_start(role, arguments) for role in ("write", "change")]
        try:
            for worker in workers:
                assert worker.stdout is not None
                assert worker.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 0.15))
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()
        _look(root, report)
        _check(root, journal, report)
    return report


def _start(role: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "scripts.events.kill", role, *arguments]
    return subprocess.Popen(with_parent(command, signal.SIGKILL), stdout=subprocess.PIPE)


def _look(root: Path, report: Report) -> None:
    """Count what a kill has left, before anything mends it."""
    connection = sqlite3.connect(root / INDEX)
    rows = dict(connection.execute("SELECT folder, kept FROM events"))
    connection.close()
    found = list_folders(root)
    report.rounds += 1
    report.disagreed += set(rows) != found.complete or {name for name, kept in rows.items() if kept} != found.kept
    report.leftovers += bool(found.removed)


def _check(root: Path, journal: Path, report: Report) -> None:
    """Open the folder, and compare its index with its files, without the store's own means."""
    with EventStore(root) as store:
        stored = {one.event.id: one for one in store.find()}
    folders = {path.name: path for path in _complete(root)}
    assert set(stored) == set(folders), set(stored) ^ set(folders)
    assert not list(root.glob(f"{EACH}{REMOVED}"))
    marked = {path.name.removesuffix(KEEP) for path in root.glob(f"{EACH}{KEEP}")}
    assert marked == {name for name, one in stored.items() if one.kept}
    for name, folder in folders.items():
        assert {path.name for path in folder.iterdir()} == set(FILES), folder
        assert decode_event((folder / EVENT_JSON).read_bytes()) == stored[name].event
        assert _frames(folder / FILES[0]) > 0
    told = [line.split(" ") for line in journal.read_text().splitlines()]
    saved, removed = ({name for what, name in told if what == which} for which in ("saved", "removed"))
    assert saved - removed <= set(stored), "an event was lost"
    report.saved, report.removed = len(saved), len(removed)


def _complete(root: Path) -> Iterator[Path]:
    return (path for path in root.glob(EACH) if path.is_dir() and path.suffix != PART)


def _frames(clip: Path) -> int:
    import av

    with av.open(str(clip)) as container:
        return sum(1 for _ in container.decode(video=0))


def main() -> None:
    import av

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "clip.mp4")
        with av.open(str(clip), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(5):
                container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
            container.mux(stream.encode(None))
        begun = time.monotonic()
        report = kill_at_random(Path(folder, "events"), clip, events=arguments.events, rounds=20, seed=arguments.seed)
        print(f"{report} in {time.monotonic() - begun:.0f} s: index and files agreed after every kill")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", root, journal, clip, seed]:
            write(Path(root), Path(journal), Path(clip), int(seed))
        case ["change", root, journal, _, seed]:
            change(Path(root), Path(journal), int(seed))
        case _:
            main()
