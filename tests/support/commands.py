"""`streamcam …` as people type it: in a process of its own, which takes seconds to begin, or a fork of a ready one."""

import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

READY = ("streamcam.cli", "streamcam.console.live", "streamcam.live", "streamcam.explain", "streamcam.evaluate.run")
"""What a fork need not import any more."""

_context = get_context("forkserver")
_context.set_forkserver_preload([*READY, "support.commands"])


def streamcam(
    *arguments: str | Path, cwd: Path | None = None, first: str = "", timeout: float = 100
) -> subprocess.CompletedProcess[str]:
    """Its exit code and what it says, all from a process that has done its imports; `first` is Python to begin with."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _context.Process(target=_run, args=(first, [*map(str, arguments)], cwd or Path.cwd(), out, err))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            pytest.fail(f"streamcam {' '.join(map(str, arguments))} did not end within {timeout:.0f} s")
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())


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
    os.chdir(cwd)
    sys.argv[1:] = arguments
    exec(first, {})
    from streamcam.cli import main

    main()
