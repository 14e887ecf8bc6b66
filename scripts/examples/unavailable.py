"""What is said of an example that cannot be run on this machine."""


class UnavailableError(Exception):
    """Something that an example needs is missing; the message says what."""
