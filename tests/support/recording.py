"""A real RTSP server to which streams are pushed, in a process of its own."""

import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread

import pytest

from tests.support.paths import SUPPORT


@dataclass(frozen=True)
class Shown:
    """A picture that the server has received."""

    name: str
    size: str
    colour: tuple[int, int, int]
    seconds: float


@dataclass
class Recorder:
    process: subprocess.Popen[str]
    pictures: list[Shown] = field(default_factory=list)

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            name, size, red, green, blue, seconds = line.split()
            self.pictures.append(Shown(name, size, (int(red), int(green), int(blue)), float(seconds)))

    def of(self, name: str) -> list[Shown]:
        return [picture for picture in list(self.pictures) if picture.name == name]


@contextmanager
def recorder(port: int, *arguments: str) -> Iterator[Recorder]:
    """Take streams at rtsp://127.0.0.1:PORT/NAME, for each NAME among the arguments; stop at the end."""
    command = ["/usr/bin/python3", str(SUPPORT / "rtsp_record_server.py"), str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        found = Recorder(process)
        listener = Thread(target=found.listen)
        try:
            assert process.stdout is not None
            answered, _, _ = select.select([process.stdout], [], [], 20)
            if not answered or process.stdout.readline() != "ready\n":
                pytest.fail("the RTSP server did not start (its message is below): scripts/test installs what it needs")
            listener.start()
            yield found
        finally:
            process.kill()
            if listener.is_alive():
                listener.join()
