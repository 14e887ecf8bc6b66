"""Fuzz the readers of messages and files that strangers could send: coverage-guided, by atheris.

    pip install -e '.[fuzz]'
    python -m scripts.endurance.fuzz wire -max_total_time=600
    python -m scripts.endurance.fuzz config|card|weights|key [options of libFuzzer]

It ends at the first input that raises an error of another kind than it should, takes more than 2 GB, or hangs, with a
trace and that input. `tests/test_fuzz.py` runs mutations without guidance against the same targets.
"""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

LIMITS = ("-rss_limit_mb=2048", "-timeout=10")


def frame(message: Sequence[bytes]) -> bytes:
    """Message parts → one piece of bytes: a length in three bytes before each."""
    return b"".join(len(part).to_bytes(3, "little") + part for part in message)


def unframe(content: bytes) -> list[bytes]:
    """The inverse, of any bytes."""
    parts = []
    while content:
        length = int.from_bytes(content[:3], "little")
        parts.append(content[3 : 3 + length])
        content = content[3 + length :]
    return parts


def wire(content: bytes) -> None:
    """A message's parts, in one piece."""
    from streamcam.transport.messages import decode
    from streamcam.transport.payloads import MessageError

    with suppress(MessageError):
        decode(unframe(content))


def _of_a_file(suffix: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """A target that reads a file, and says what is wrong with it in one line that a terminal can show."""
    memory = Path("/dev/shm")  # writing to a disk would take longer than all the rest
    folder = Path(tempfile.mkdtemp(prefix="streamcam-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / f"f{suffix}"

    def target(content: bytes) -> None:
        from streamcam.errors import StreamcamError

        path.write_bytes(content)
        path.chmod(0o600)
        try:
            read(path)
        except StreamcamError as e:
            said = str(e).replace("\n", "").replace("\t", "")
            if not said.isprintable() or len(said) > 2000:
                raise AssertionError(f"not one line: {said[:200]!r}") from e

    return target


def _config(path: Path) -> object:
    from streamcam.config import make_config

    return make_config({"sources": ["sample"]}, file=path)


def _card(path: Path) -> object:
    from streamcam.models.checkpoint import read_card

    weights = path.with_suffix(".safetensors")
    weights.touch()
    return read_card(weights)


def _weights(path: Path) -> object:
    from streamcam.models.weights import load_state

    return load_state(str(path))


def _key(path: Path) -> object:
    from streamcam.transport.keys import read_public

    return read_public(path)


TARGETS: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "wire": lambda: wire,
    "config": lambda: _of_a_file(".yaml", _config),
    "card": lambda: _of_a_file(".json", _card),
    "weights": lambda: _of_a_file(".safetensors", _weights),
    "key": lambda: _of_a_file(".public", _key),
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"fuzz: expected one of {', '.join(TARGETS)}, then options of libFuzzer")
    try:
        import atheris
    except ImportError:
        sys.exit("fuzz: atheris is missing: pip install -e '.[fuzz]' (tests/test_fuzz.py needs none)")
    with atheris.instrument_imports(include=["streamcam"]):
        pass
    target = TARGETS[sys.argv[1]]()
    atheris.Setup([sys.argv[0], *LIMITS, *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
