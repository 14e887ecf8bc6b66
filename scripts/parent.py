"""Commands that are sent a signal when whoever started them ends, however that ends. It needs Linux."""

import ctypes
import os
import sys
from collections.abc import Sequence
from signal import Signals

PR_SET_PDEATHSIG = 1


def with_parent(command: Sequence[str], how: Signals) -> list[str]:
    """The command that does so, in the process that is started for it."""
    return [sys.executable, __file__, str(how.value), *command]


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
