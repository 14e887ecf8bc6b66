"""`streamcam …` as people type it: in a process of its own, which takes seconds to begin, or a fork of a ready one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

READY = (
    "streamcam.cli.main",
    "streamcam.cli.output.live",
    "streamcam.runtime.app",
    "streamcam.explain.film",
    "streamcam.evaluate.run",
)
"""What a fork need not import any more."""

_context = get_context("forkserver")
_context.set_forkserver_preload([*READY, "tests.support.commands"])


class Running:
    """A command on its way."""

    def __init__(self, process: BaseProcess, arguments: tuple[str | Path, ...], out: Path, err: Path) -> None:
        self._process, self._arguments, self.out, self.err = process, arguments, out, err

    def signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def ended(self, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Wait for its end."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            pytest.fail(f"streamcam {' '.join(map(str, self._arguments))} did not end within {timeout:.0f} s")
        code, out, err = self._process.exitcode, self.out.read_text(), self.err.read_text()
        return subprocess.CompletedProcess(self._arguments, code, out, err)


@contextmanager
def running(*arguments: str | Path, cwd: Path | None = None, first: str = "") -> Iterator[Running]:
    """A command, from a process that has done its imports; `first` is Python to begin with."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        out.touch()
        err.touch()
        process = _context.Process(target=_run, args=(first, [*map(str, arguments)], cwd or Path.cwd(), out, err))
        process.start()
        try:
            yield Running(process, arguments, out, err)
        finally:
            process.kill()
            process.join()


def streamcam(
    *arguments: str | Path, cwd: Path | None = None, first: str = "", timeout: float = 100
) -> subprocess.CompletedProcess[str]:
    """Its exit code and what it says."""
    with running(*arguments, cwd=cwd, first=first) as command:
        return command.ended(timeout)


def streamcam_anew(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """The same from the very beginning; options as for `subprocess.run`."""
    command = [sys.executable, "-m", "streamcam", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


def complaint(*arguments: str | Path, cwd: Path | None = None) -> str:
    """The one line that a command complains with."""
    return line_of(streamcam(*arguments, cwd=cwd))


def line_of(done: subprocess.CompletedProcess[str]) -> str:
    """The same of a command that has ended."""
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def _run(first: str, arguments: list[str], cwd: Path, out: Path, err: Path) -> None:
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    os.chdir(cwd)
    sys.argv[1:] = arguments
    exec(first, {"sys": sys})
    from streamcam.cli.main import main

    main()
