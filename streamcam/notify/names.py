"""Names for the files in which events wait."""

from hashlib import sha256


def spool_name(kind: str, address: str) -> str:
    """Name a target's spool: the same at each start. The address, which may hold a password, cannot be read from it."""
    return f"{kind}-{sha256(address.encode()).hexdigest()[:12]}"
