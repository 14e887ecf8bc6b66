"""A program is given each event on its standard input, without a shell."""

import logging
import os
import sys
from pathlib import Path

import pytest

from streamcam.config.notify import CommandConfig
from streamcam.errors import StreamcamError
from streamcam.events.event_json import decode_event
from streamcam.notify.command import CommandTarget
from streamcam.notify.target import RefusedError
from tests.support.messages import an_event
from tests.support.publish_demo import eventually

PYTHON = f"'{sys.executable}'"


def tell(command: str, **options: float) -> None:
    CommandTarget(CommandConfig.model_validate({"command": command, **options})).tell([an_event()])


def test_the_event_comes_as_json_on_standard_input(tmp_path: Path) -> None:
    tell(f"sh -c 'cat > {tmp_path}/it'")
    assert decode_event((tmp_path / "it").read_bytes()) == an_event()


def test_there_is_no_shell(tmp_path: Path) -> None:
    script = tmp_path / "arguments"
    script.write_text("import sys; open(sys.argv[1], 'w').write(repr(sys.argv[2:]))")
    tell(f"{PYTHON} {script} {tmp_path}/it '$(touch {tmp_path}/bad)' ';' touch {tmp_path}/bad '`id`'")
    assert not (tmp_path / "bad").exists()
    assert (tmp_path / "it").read_text() == repr([f"$(touch {tmp_path}/bad)", ";", "touch", f"{tmp_path}/bad", "`id`"])


def test_an_exit_code_is_logged_and_the_event_not_told_again(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell("sh -c 'exit 7'")
    assert [record.getMessage() for record in caplog.records] == ["sh ends with exit code 7"]


def test_a_program_that_does_not_read_is_fine(caplog: pytest.LogCaptureFixture) -> None:
    tell("true")
    assert not caplog.records


def test_a_program_is_killed_when_its_time_is_over_with_all_that_it_started(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tell(f"sh -c 'echo $$ > {tmp_path}/group; sleep 300 & sleep 300'", timeout_s=1)
    assert "sh takes longer than 1 s: it is killed" in caplog.text
    group = int((tmp_path / "group").read_text())

    def is_gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return all("Z" in state for state in _states(group))

    eventually(is_gone, "nothing of it is left")


def _states(group: int) -> list[str]:
    """The states of the processes of a group; one that nobody waits for stays as Z."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            found.append(fields[0])
    return found


def test_a_program_that_is_missing_is_one_line_at_the_start() -> None:
    with pytest.raises(StreamcamError, match="no such program, or it is not executable: no-such-program"):
        CommandTarget(CommandConfig(command="no-such-program --token hunter2"))


def test_a_program_that_goes_missing_is_no_reason_to_stop(tmp_path: Path) -> None:
    script = tmp_path / "it"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    target = CommandTarget(CommandConfig(command=str(script)))
    script.unlink()
    with pytest.raises(RefusedError, match="cannot start it: No such file"):
        target.tell([an_event()])
