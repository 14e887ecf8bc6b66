"""Decode in worker processes, without shared memory; and survive or explain it when one dies."""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import numpy as np
import psutil
import pytest

import streamcam.train.loop
from streamcam.config.train import TrainConfig
from streamcam.errors import StreamcamError
from streamcam.models.base import ModelEntry
from streamcam.models.registry import MODELS
from streamcam.train.clips import ClipDataset
from streamcam.train.fit import BEST, STATE, train
from streamcam.train.workers import explained_deaths
from tests.support.train_small import SMALL, Spoken, build_small
from tests.support.write_clip import write_clip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "small", ModelEntry(SMALL, build_small))
    monkeypatch.setattr(streamcam.train.loop, "SAVE_EVERY_S", 0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips of noise for each of two classes."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(16):
        noise = np.random.default_rng(number).integers(0, 255, (36, 48, 3), dtype=np.uint8)
        write_clip(folder / ("red", "blue")[number % 2] / f"{number}.mp4", [noise] * 8)
    return folder


def small_run(data: Path, out: Path, **options: object) -> list[str]:
    return [
        sys.executable,
        "-m",
        "tests.support.train_small",
        json.dumps({"data": str(data), "out": str(out), "workers": 2} | options),
    ]


def in_a_container(shm: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command where /dev/shm has only this size."""
    apart = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a system where anybody may make a mount namespace")
    mount = f'mount -t tmpfs -o size={shm} none /dev/shm && exec "$@"'
    return subprocess.run([*apart, "sh", "-c", mount, "sh", *command], capture_output=True, text=True, timeout=100)


def test_batches_need_no_shared_memory(data: Path, tmp_path: Path) -> None:
    # A batch is of 12 × 7 pictures of 36 × 48 × 3 bytes, 435 kB; locks take 4 kB each.
    done = in_a_container("256k", small_run(data, tmp_path / "x", batch=12, epochs=1))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x" / BEST).exists()


def config_of(data: Path, out: Path, **options: object) -> TrainConfig:
    plain = {"data": data, "out": out, "model": "small", "workers": 2, "batch": 4, "epochs": 3, "precision": "fp32"}
    return TrainConfig.model_validate(plain | {"device": "cpu", "background": False} | options)


def test_where_there_is_no_room_for_a_lock_it_says_so(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as in a /dev/shm of 16 kB

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refused)
    with pytest.raises(StreamcamError, match=r"that decode \(\[Errno 28\] No space left on device\): try --workers 0"):
        train(config_of(data, tmp_path / "x"), show=Spoken())


class Ending(Spoken):
    """A display that ends a process that decodes, after four steps."""

    def __init__(self, how: Callable[[], None]) -> None:
        self._how = how

    def step(self, done: int, total: int, *, epoch: int, loss: float) -> None:
        if done == 4:
            self._how()


@pytest.mark.parametrize(
    ("number", "death"),
    [
        (signal.SIGKILL, r"died \(killed by signal: Killed: short of memory\? fewer --workers need less\)"),
        (signal.SIGSEGV, r"died \(killed by signal: Segmentation fault\)"),
    ],
)
def test_a_worker_that_dies_ends_the_run_and_it_can_be_taken_up(
    number: signal.Signals, death: str, data: Path, tmp_path: Path
) -> None:
    def kill() -> None:
        worker = multiprocessing.active_children()[0]
        assert worker.pid is not None
        os.kill(worker.pid, number)
        time.sleep(10)  # what it waits for is the news of it

    state = tmp_path / "x" / STATE
    with pytest.raises(
        StreamcamError, match=rf"a process that decodes clips has {death}; --resume goes on from {state}"
    ):
        train(config_of(data, tmp_path / "x"), show=Ending(kill))
    assert not list((tmp_path / "x").glob(".*"))
    if number == signal.SIGKILL:
        train(config_of(data, tmp_path / "x", resume=True), show=Spoken())
        train(config_of(data, tmp_path / "whole"), show=Spoken())
        assert (tmp_path / "x" / BEST).read_bytes() == (tmp_path / "whole" / BEST).read_bytes()


def test_a_worker_without_memory_ends_the_run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: ClipDataset, key: object) -> None:
        raise MemoryError

    train(config_of(data, tmp_path / "first", epochs=1, workers=0), show=Spoken())
    monkeypatch.setattr(streamcam.train.loop, "new_optimizer", lambda model, **_: _plain(model))
    monkeypatch.setattr(ClipDataset, "__getitem__", full)
    with pytest.raises(StreamcamError, match=r"has died \(Caught MemoryError: short of memory\?[^;]*$"):
        train(config_of(data, tmp_path / "x"), show=Spoken())


def _plain(model: object) -> object:
    import torch

    return torch.optim.AdamW([{"params": list(model.parameters()), "rate": 1.0}])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error",
    [
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:23441. Or",
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Read error [10.0.0.2]:1: Connection reset by peer",
    ],
)
def test_those_who_train_together_tell_that_one_has_died(error: str, tmp_path: Path) -> None:
    with (
        pytest.raises(StreamcamError, match=r"that trains with this one has died \(Connection \w+ by peer\)$"),
        explained_deaths(tmp_path / STATE),
    ):
        raise RuntimeError(error)
    with pytest.raises(RuntimeError, match="some other"), explained_deaths(tmp_path / STATE):
        raise RuntimeError("some other fault, which is ours")


def test_workers_go_when_their_parent_is_killed(data: Path, tmp_path: Path) -> None:
    command = small_run(data, tmp_path / "x", batch=12, epochs=1000)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        list(takewhile(lambda line: not line.startswith("epoch 1"), parent.stdout))
        workers = psutil.Process(parent.pid).children()
        parent.kill()
    assert len(workers) == 4  # two for each of the two sides
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    assert len(gone) == 4
