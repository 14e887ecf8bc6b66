"""The base of pydantic models that are read from files, and their errors in one line."""

from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails


class Strict(BaseModel):
    """A frozen model that refuses unknown keys. Its errors do not repeat what was given: that may hold a password."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def describe(error: ErrorDetails) -> str:
    """Write one of pydantic's errors as `key.key: what is wrong`."""
    where = ".".join(str(part) for part in error["loc"] if part != "[key]")
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
