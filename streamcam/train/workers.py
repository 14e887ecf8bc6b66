"""Decode batches in worker processes; and explain in one line when a process dies."""

import gc
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Thread

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Sampler

from streamcam.errors import StreamcamError
from streamcam.train.clips import Batch, ClipDataset, ClipKey

_DEATH = re.compile(
    r"killed by signal: [\w ]+|exited unexpectedly|Caught MemoryError|Connection (?:closed|reset) by peer"
)
"""PyTorch's words for a process that has died: one that decodes or, with several devices ("peer"), one that trains."""


class BatchLoader:
    """Yields batches that `workers` processes decode, or this process where there are none.

    Batches travel as arrays through pipes. PyTorch would send tensors through /dev/shm, which has 64 MB in a container,
    and would wait for ever where a batch does not fit. No thread pins memory, either: it would wait for ever for the
    rest of a batch whose worker was killed.
    """

    def __init__(self, clips: ClipDataset, sampler: Sampler[list[ClipKey]], *, workers: int) -> None:
        self._workers = workers
        self._must_fork = workers > 0
        self._loader: DataLoader[Batch] = DataLoader(
            clips,
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=_collate,
            persistent_workers=workers > 0,  # starting them takes longer than a short epoch
            worker_init_fn=_exit_with_parent,
        )

    def __iter__(self) -> Iterator[Batch]:
        try:
            _require_locks(self._workers)
            # The first time, the workers are forked here. To collect garbage takes longer than a short epoch.
            with _frozen_garbage() if self._must_fork else nullcontext():
                batches = iter(self._loader)
            self._must_fork = False
        except (OSError, ImportError) as e:  # no process, semaphore or file handle to be had
            raise StreamcamError(f"cannot start processes that decode ({e}): try --workers 0") from e
        for columns in batches:
            yield Batch(*map(torch.from_numpy, columns))


def _require_locks(workers: int) -> None:
    """Make more locks than PyTorch will need, and drop them.

    Where there is no room for them, this fails cleanly. PyTorch would fail with its workers half made, and those would
    print tracebacks of their own.
    """
    # PyTorch makes a queue with its locks for each worker, and a few for all.
    _ = [multiprocessing.Lock() for _ in range(16 + 4 * workers if workers else 0)]


@contextmanager
def _frozen_garbage() -> Iterator[None]:
    """Keep processes that are forked meanwhile from freeing the parent's garbage.

    A decoder has threads, which a fork does not copy. Freeing the decoder in the child waits for them for ever.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _collate(batches: list[Batch]) -> list[npt.NDArray[np.generic]]:
    return [torch.cat(column).numpy() for column in zip(*batches, strict=True)]


def _exit_with_parent(_worker: int) -> None:
    """End this worker when its parent is killed: nobody would read its pipe, and it would wait for that for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_exit_after, args=(parent.join,), daemon=True).start()


def _exit_after(wait: Callable[[], object]) -> None:
    wait()
    os._exit(1)  # at once, although another thread may be decoding


@contextmanager
def explained_deaths(state: Path) -> Iterator[None]:
    """Turn PyTorch's error on a process that has died into one line, which names `state` to resume from if it exists.

    Raises:
        StreamcamError: a process of this run was killed, ran out of memory, or crashed in a decoder.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as e:
        death = _DEATH.search(str(e))
        if death is None:
            raise
        process = "that trains with this one" if "peer" in death[0] else "that decodes clips"
        hint = ": short of memory? fewer --workers need less" if re.search("Kill|Memory", death[0]) else ""
        saved = f"; --resume goes on from {state}" if state.exists() else ""
        raise StreamcamError(f"a process {process} has died ({death[0].strip()}{hint}){saved}") from e
