"""Standard output and error on a full disk, closed, or into a pipe that nobody reads."""

import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.support.commands import line_of, streamcam
from tests.support.publish_demo import publishing

FULL = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), {})"  # every write there fails with ENOSPC: full(4)
UNREAD = "import os; reads, writes = os.pipe(); os.dup2(writes, {}); os.close(reads); os.close(writes)"
UNBUFFERED = "; import sys; sys.stdout = open(1, 'w', closefd=False, buffering=1)"
COMMANDS = [
    ("--version",),
    ("--help",),
    ("models",),
    ("doctor",),
    ("run", "--help"),
    ("keys", "new", "server", "--keys", "."),
    ("run", "sample", "--model", "imagenet-fast", "--bind", "none", "--as-fast-as-possible", "--max-frames", "5"),
]


@pytest.mark.parametrize(
    ("arguments", "more"), [*((command, "") for command in COMMANDS), (("models",), UNBUFFERED)], ids=str
)
def test_a_full_disk_behind_standard_output_is_one_line(tmp_path: Path, arguments: tuple[str, ...], more: str) -> None:
    done = streamcam(*arguments, cwd=tmp_path, first=FULL.format(1) + more)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == "streamcam: cannot write to standard output: No space left on device"


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_who_writes_into_a_closed_pipe_ends_as_other_tools_do(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """128 + SIGPIPE is what a shell reports for a program that the signal has ended."""
    done = streamcam(*arguments, cwd=tmp_path, first=UNREAD.format(1))
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "Pipe" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("first", [FULL.format(2), UNREAD.format(2)], ids=["full", "unread"])
def test_a_run_goes_on_where_nobody_can_be_told(tmp_path: Path, first: str) -> None:
    options = ["--model", "imagenet-fast", "--bind", "none", "--as-fast-as-possible", "--max-frames", "40"]
    done = streamcam("run", "sample", *options, "--record", "o.mp4", cwd=tmp_path, first=first)
    assert done.returncode == 0
    assert "40 frames" in done.stdout
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 40


@pytest.mark.parametrize("first", [FULL.format(2), UNREAD.format(2)], ids=["full", "unread"])
def test_a_mistake_of_which_nobody_can_be_told_has_its_exit_code(first: str) -> None:
    assert streamcam("run", "nosuch.mp4", first=first).returncode == 2


@pytest.mark.parametrize("number", [1, 2])
def test_an_outlet_that_is_closed_is_no_failure(number: int) -> None:
    """As `>&-` in a shell."""
    done = subprocess.run(
        [sys.executable, "-m", "streamcam", "--version"], preexec_fn=lambda: os.close(number), check=False
    )
    assert done.returncode == 0


def test_a_viewer_in_a_terminal_ends_when_nobody_reads_it(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/results"
    with publishing(endpoint):
        unread = streamcam("view", endpoint, "--print", "--seconds", "30", first=UNREAD.format(1))
        full = streamcam("view", endpoint, "--print", "--seconds", "30", first=FULL.format(1))
    assert unread.returncode == 141
    assert "Traceback" not in unread.stderr
    assert "cannot write to standard output: No space left on device" in full.stderr.splitlines()[-1]
    assert full.returncode == 2


def test_a_mistake_is_still_one_line() -> None:
    assert "no such file" in line_of(streamcam("run", "nosuch.mp4"))
