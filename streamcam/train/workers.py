"""Batches from processes that decode; and what is said when one of them dies."""

import gc
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Sampler

from streamcam.errors import StreamcamError
from streamcam.train.clips import Batch, Clips, Key

_DEATH = re.compile(
    r"killed by signal: [\w ]+|exited unexpectedly|Caught MemoryError|Connection (?:closed|reset) by peer"
)
"""How PyTorch tells of a process that is no more: one that decodes or, with several devices, one that trains."""


class BatchQueue:
    """Batches, decoded by `workers` processes; what cannot be decoded is left out of them.

    They come as arrays, through pipes: PyTorch would send tensors through /dev/shm, which has 64 MB in a container, and
    wait for ever for what finds no room there. Nor is a thread to pin memory between us and the workers: where one of
    them is killed in the middle of a batch, it would wait for the rest.
    """

    def __init__(self, clips: Clips, order: Sampler[list[Key]], *, workers: int) -> None:
        self._workers = workers
        self._loader: DataLoader[Batch] = DataLoader(
            clips,
            batch_sampler=order,
            num_workers=workers,
            collate_fn=_collate,
            persistent_workers=workers > 0,
            worker_init_fn=_end_with_parent,
        )

    def __iter__(self) -> Iterator[Batch]:
        try:
            _make_locks(self._workers)
            with _nothing_to_free():
                batches = iter(self._loader)
        except (OSError, ImportError) as e:  # no process, semaphore or file handle to be had
            raise StreamcamError(f"cannot start processes that decode ({e}): try --workers 0") from e
        for columns in batches:
            yield Batch(*map(torch.from_numpy, columns))


def _make_locks(workers: int) -> None:
    """As many as PyTorch needs and some more: where there is no room for them, what it has half made complains."""
    _ = [multiprocessing.Lock() for _ in range(16 + 4 * workers if workers else 0)]


@contextmanager
def _nothing_to_free() -> Iterator[None]:
    """Let a process that is forked here leave alone what its parent has left.

    A decoder has threads, which a fork does not have: whoever frees it there waits for them for ever.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _collate(parts: list[Batch]) -> list[npt.NDArray[np.generic]]:
    return [torch.cat(column).numpy() for column in zip(*parts, strict=True)]


def _end_with_parent(_worker: int) -> None:
    """Nobody reads the pipe any more when the parent was killed, and a worker would wait for that for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_leave_after, args=(parent.join,), daemon=True).start()


def _leave_after(wait: Callable[[], object]) -> None:
    wait()
    os._exit(1)


@contextmanager
def ending_with_workers(state: Path) -> Iterator[None]:
    """Say in one line that a process of this run has died; what has been learnt until then is in `state`.

    Raises:
        StreamcamError: one has died: killed, out of memory, or by a fault in a decoder.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as e:
        death = _DEATH.search(str(e))
        if death is None:
            raise
        gone = "that trains with this one" if "peer" in death[0] else "that decodes clips"
        hint = ": short of memory? fewer --workers need less" if re.search("Kill|Memory", death[0]) else ""
        saved = f"; --resume goes on from {state}" if state.exists() else ""
        raise StreamcamError(f"a process {gone} has died ({death[0].strip()}{hint}){saved}") from e
