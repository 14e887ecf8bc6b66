"""The one error that is meant for people."""


class StreamcamError(Exception):
    """Something that the user can mend: the message says what was wrong and what to do.

    The command line prints it as one line and exits with code 2. It never holds a password.
    """
