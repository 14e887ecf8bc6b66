"""A folder of events on a disk that is full to the last byte: python -m tests.support.full_disk FOLDER

It prints as JSON what came of it, and once more of a run that begins on the full disk. The disk is small, and nobody
else's.
"""

import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from streamcam.config.events import EventFilesConfig
from streamcam.errors import StreamcamError
from streamcam.events.store.event_store import EventStore
from streamcam.events.store.indexer import Indexer
from streamcam.events.store.retention import Limits, Retention
from tests.support.saved import NOON_NS, SECOND_NS, make_event, save
from tests.support.waiting import wait_until


def fill(path: Path) -> None:
    """Write until nothing fits any more."""
    for size in (65_536, 4096, 512, 1):
        with suppress(OSError), path.open("ab", buffering=0) as file:
            while file.write(bytes(size)):
                pass


def main(root: Path) -> None:
    logging.basicConfig(format="%(message)s")
    config = EventFilesConfig.model_validate({"folder": root, "days": None, "max_gb": None, "free_gb": None})
    indexer, store = Indexer(config), EventStore(root)
    events = [save(root, make_event(NOON_NS + i * SECOND_NS), bytes(50_000)) for i in range(10)]
    for event in events[:8]:
        indexer.add(event)
    wait_until(lambda: store.count() == 8, "rows")
    fill(root / "junk")
    indexer.add(events[8])
    wait_until(lambda: indexer.failures > 0, "a failure")
    gone = Retention(store, Limits(free_bytes=200_000)).apply()  # on the full disk
    statistics = os.statvfs(root)
    indexer.add(events[9])
    indexer.close()
    store.close()
    with EventStore(root) as opened:
        left = [one.event.id for one in opened.find()]
    expected = [event.id for event in reversed(events) if event.id not in {size.id for size in gone}]
    free_bytes = statistics.f_bavail * statistics.f_frsize
    print(json.dumps({"gone": len(gone), "free_bytes": free_bytes, "agree": left == expected}))
    print(json.dumps(begin_on_it(root)))


def begin_on_it(root: Path) -> dict[str, object]:
    """Begin a run where nothing fits any more."""
    fill(root / "junk")
    before = sorted(path.name for path in root.glob("2026/*/*/*"))
    # The index asks for as much as the whole disk has: all but the kept one have to go.
    (root / "2026/11/30" / f"{before[0]}.keep").touch()
    config = EventFilesConfig.model_validate({"folder": root, "days": None, "max_gb": None, "free_gb": 0.0003})
    with suppress(StreamcamError):
        EventStore(root).close()
        return {"full": False}
    Indexer(config).close()
    with EventStore(root) as store:
        left = [one.event.id for one in store.find()]
    return {"full": True, "before": before, "left": left}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
