"""What strangers might make of what is sent to them."""

import random
import re

HOSTILE = [
    *(b"NaN", b"Infinity", b"-1", b"0", b"1e999", b"1e-999", b"9" * 400, b"9" * 5000, b"18446744073709551616"),
    *(b"null", b"true", b"{}", b"[]", b'""', b"[" * 500, b'{"a":' * 500, b'"\\u0000"', b'"\\ud800"', b'"\xff"'),
    *(b"\x1b[2J", b"[red]", b"../../etc/passwd", b"!!python/object/apply:os.system", b"*a", b"&a [*a, *a]", b"<<: *a"),
]
_VALUE = re.compile(rb'-?[0-9][0-9.e+-]*|"[^"]*"|true|false|null|[A-Za-z_]+')


def mutate(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """One change: of bits, of length, of place, of another's content, or of a value in a text."""
    at, to = sorted((rng.randint(0, len(content)), rng.randint(0, len(content))))
    match rng.randrange(7):
        case 0:
            return content[:at] + bytes(b ^ 1 << rng.randrange(8) for b in content[at : at + 1]) + content[at + 1 :]
        case 1:
            return content[:at]
        case 2:
            return content[:at] + rng.randbytes(rng.randint(1, 8)) + content[at:]
        case 3:
            return content[:at] + content[to:]
        case 4:
            return content[:to] + content[at:to] + content[to:]
        case 5:
            return content[:at] + other[at:]
    values = list(_VALUE.finditer(content))
    if not values:
        return rng.choice(HOSTILE)
    value = rng.choice(values)
    return content[: value.start()] + rng.choice(HOSTILE) + content[value.end() :]
