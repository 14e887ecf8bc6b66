import logging
import sys

from streamcam.web.log_lines import MAX_LINES, REPEAT_S, LineHandler, line_of, log_lines


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def record(text: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, text, args, info)


def failed(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error):
        caught = sys.exc_info()[1]
        assert caught is not None
        return caught


def test_an_error_is_one_line_that_names_its_place() -> None:
    line = line_of(record("Exception in ASGI application\n", error=failed(ValueError("no\nmore"))))
    assert line.startswith("Exception in ASGI application: ValueError: no (test_log_lines.py:")


def test_a_traceback_as_text_is_its_last_line() -> None:
    text = "Traceback (most recent call last):\n  File …\nRuntimeError: stopped\n"
    assert line_of(record(text)) == "RuntimeError: stopped"


def test_no_secret_is_printed() -> None:
    error = failed(ValueError("Bearer sesame-sesame at rtsp://admin:hunter2@10.0.0.7/live"))
    line = line_of(record("%s failed", "/x?token=abc", error=error), secrets=["sesame-sesame"])
    assert line.startswith("/x?token=*** failed: ValueError: Bearer *** at rtsp://***@10.0.0.7/live (")


def test_a_client_cannot_write_to_the_terminal() -> None:
    assert line_of(record("bad \x1b[2J %s", "\x00 \x9b.")) == "bad \\x1b[2J \\x00 \\x9b."


def test_the_same_line_is_printed_once_a_minute() -> None:
    lines: list[str] = []
    clock = Clock()
    handler = LineHandler(lines.append, clock=clock)
    for text in ("one", "one", "two"):
        handler.emit(record(text))
    clock.now_s = REPEAT_S
    handler.emit(record("one"))
    assert lines == ["streamcam: one", "streamcam: two", "streamcam: one"]
    for number in range(3 * MAX_LINES):
        handler.emit(record(f"line {number}"))
    assert len(handler._printed_s) == MAX_LINES
    handler.is_silent = True
    handler.emit(record("three"))
    assert lines[-1] == f"streamcam: line {3 * MAX_LINES - 1}"


def test_the_loggers_are_as_before_afterwards() -> None:
    lines: list[str] = []
    log = logging.getLogger("asyncio")
    before = log.handlers, log.propagate
    with log_lines(LineHandler(lines.append)):
        log.error("something\nodd")
        log.info("nothing")
    assert (log.handlers, log.propagate) == before
    assert lines == ["streamcam: something"]
