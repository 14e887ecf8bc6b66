"""Counts wrong tokens, so that nobody can try many."""

import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

WINDOW_S = 60.0
PER_CLIENT = 5
"""So many wrong tokens of one client within `WINDOW_S`; then it has to wait."""
OF_ALL = 100
"""So many of all clients together: someone with many addresses has to wait, too."""


class WrongTokens:
    """The wrong tokens of the last minute. It never holds more than `OF_ALL` of them."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none.

        Args:
            clock: gives seconds.
        """
        self._clock = clock
        self._recent: deque[tuple[float, str, bytes]] = deque(maxlen=OF_ALL)

    def wait_s(self, client: str) -> float:
        """Return how long a client has to wait before its next token is looked at; 0 if it need not."""
        now_s = self._clock()
        while self._recent and self._recent[0][0] <= now_s - WINDOW_S:
            self._recent.popleft()
        network = _network(client)
        own_s = [at_s for at_s, of, _ in self._recent if of == network]
        ends_s = [now_s]
        if len(own_s) >= PER_CLIENT:
            ends_s.append(own_s[-PER_CLIENT] + WINDOW_S)
        if len(self._recent) >= OF_ALL:
            ends_s.append(self._recent[0][0] + WINDOW_S)
        return max(ends_s) - now_s

    def add(self, client: str, *, digest: bytes = b"") -> None:
        """Note a wrong token.

        Args:
            client: its address.
            digest: of what was wrong, where a browser sends it again by itself: the same one counts once.
        """
        network = _network(client)
        if not digest or all((of, other) != (network, digest) for _, of, other in self._recent):
            self._recent.append((self._clock(), network, digest))

    def forgive(self, client: str) -> None:
        """Forget a client's wrong tokens: it has given the right one."""
        network = _network(client)
        self._recent = deque((entry for entry in self._recent if entry[1] != network), maxlen=OF_ALL)


def _network(client: str) -> str:
    """Return what one person has: an IPv4 address, or 2⁶⁴ of IPv6."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else address.exploded[:19]
    return str(address)
