import pytest
from starlette.datastructures import Headers

from streamcam.errors import StreamcamError
from streamcam.web.guard.access import COOKIE_S, MAX_KNOWN, Access
from streamcam.web.guard.attempts import PER_CLIENT, WrongTokens

TOKEN = "correct-horse-battery-staple"
HOME, AWAY = "10.0.0.1", "203.0.113.7"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1.8e9

    def __call__(self) -> float:
        return self.now_s


def access(token: str = TOKEN, *, clock: Clock | None = None, secure: bool = False) -> Access:
    clock = clock or Clock()
    return Access(token, port=8090, secure=secure, now=clock, attempts=WrongTokens(clock=clock))


def cookie(value: str) -> Headers:
    return Headers({"cookie": f"theme=dark; {value.partition(';')[0]}; other=1"})


def bearer(token: str) -> Headers:
    return Headers({"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("length", [0, 1, 15])
def test_a_short_token_is_refused_with_the_way_to_a_long_one(length: int) -> None:
    with pytest.raises(StreamcamError, match=f"has {length} characters, and needs 16 or more; make one: openssl rand"):
        access("x" * length)


def test_the_token_admits() -> None:
    ours = access()
    assert ours.of_form(TOKEN, HOME).kind == "admitted"
    assert ours.of_request(bearer(TOKEN), HOME).kind == "admitted"
    assert ours.of_request(Headers({"authorization": f"bearer  {TOKEN} "}), HOME).kind == "admitted"
    for wrong in ("", TOKEN[:-1], TOKEN + "x", TOKEN.upper()):
        assert ours.of_form(wrong, HOME).kind == "refused"
    assert ours.of_request(Headers({}), HOME).kind == "refused"
    assert ours.of_request(Headers({"authorization": f"Basic {TOKEN}"}), HOME).kind == "refused"


def test_a_token_may_hold_any_letter() -> None:
    ours = access("Straßenlaternenlicht☂")
    assert ours.of_form("Straßenlaternenlicht☂", HOME).kind == "admitted"
    assert ours.of_form("Strassenlaternenlicht", HOME).kind == "refused"
    sent = "Bearer Straßenlaternenlicht☂".encode()
    assert ours.of_request(Headers(raw=[(b"authorization", sent)]), HOME).kind == "admitted"


def test_a_cookie_does_not_hold_the_token_and_scripts_cannot_read_it() -> None:
    header = access(secure=True).new_cookie()
    assert TOKEN not in header
    _, *attributes = header.split("; ")
    assert attributes == [f"Max-Age={COOKIE_S}", "Path=/", "HttpOnly", "SameSite=Strict", "Secure"]
    assert "Secure" not in access().new_cookie()


def test_a_cookie_outlives_a_restart_but_not_its_token() -> None:
    clock = Clock()
    given = access(clock=clock).new_cookie()
    assert access(clock=clock).of_request(cookie(given), HOME).kind == "admitted"
    assert access("another-horse-battery", clock=clock).of_request(cookie(given), HOME).kind == "refused"


def test_a_cookie_ends_after_thirty_days_whatever_the_browser_does() -> None:
    clock = Clock()
    ours = access(clock=clock)
    given = ours.new_cookie()
    clock.now_s += COOKIE_S - 1
    assert ours.of_request(cookie(given), HOME).kind == "admitted"
    clock.now_s += 1
    assert ours.of_request(cookie(given), HOME).kind == "refused"
    assert access(clock=clock).of_request(cookie(given), HOME).kind == "refused"


@pytest.mark.parametrize("value", ["", ".", "..", "ffffffff.0.0", "é", "-1.0.", "x" * 10_000, "ffffffffff"])
def test_a_made_up_cookie_is_refused(value: str) -> None:
    assert access().of_request(cookie(f"streamcam-8090={value}"), HOME).kind == "refused"


def test_a_cookie_cannot_be_prolonged() -> None:
    ours = access()
    name, _, value = ours.new_cookie().partition(";")[0].partition("=")
    expires, rest = value.split(".", 1)
    assert ours.of_request(cookie(f"{name}={int(expires, 16) + 1:x}.{rest}"), HOME).kind == "refused"


def test_who_has_tried_too_often_waits_even_with_the_right_token() -> None:
    clock = Clock()
    ours = access(clock=clock)
    for number in range(PER_CLIENT):
        assert ours.of_form(f"wrong {number}", AWAY).kind == "refused"
    for verdict in (ours.of_form(TOKEN, AWAY), ours.of_request(bearer(TOKEN), AWAY)):
        assert (verdict.kind, verdict.wait_s) == ("wait", 60)
    assert ours.of_form(TOKEN, HOME).kind == "admitted"
    clock.now_s += 60
    assert ours.of_form(TOKEN, AWAY).kind == "admitted"


def test_a_cookie_is_no_way_to_try_tokens_without_end() -> None:
    ours = access()
    for number in range(PER_CLIENT):
        forged = access(f"some-token-or-other-{number}").new_cookie()
        assert ours.of_request(cookie(forged), AWAY).wrong
    right = access().new_cookie()  # as somebody makes it who has guessed the token
    assert ours.of_request(cookie(right), AWAY).kind == "wait"


def test_a_right_cookie_is_not_affected_by_wrong_tokens_of_the_same_address() -> None:
    ours = access()
    given = ours.new_cookie()
    for _ in range(2 * PER_CLIENT):
        ours.of_form("wrong", AWAY)
    assert ours.of_request(cookie(given), AWAY).kind == "admitted"
    assert ours.of_form(TOKEN, AWAY).kind == "wait"


def test_a_page_with_an_old_cookie_does_not_lock_its_own_viewer_out() -> None:
    ours = access()
    old = access("the-token-of-yesterday").new_cookie()
    for _ in range(50):
        assert ours.of_request(cookie(old), HOME).kind == "refused"
    assert ours.of_form(TOKEN, HOME).kind == "admitted"


def test_logging_out_takes_the_cookie_away() -> None:
    ours = access()
    given = ours.new_cookie()
    header = ours.no_cookie(cookie(given))
    assert header.startswith("streamcam-8090=; Max-Age=0; ")
    assert ours.no_cookie(Headers({})).startswith("streamcam-8090=; Max-Age=0; ")


def test_many_logins_take_no_more_memory() -> None:
    ours = access()
    cookies = [ours.new_cookie() for _ in range(MAX_KNOWN + 5)]
    assert len(ours._known) == MAX_KNOWN
    assert ours.of_request(cookie(cookies[0]), HOME).kind == "admitted"  # it is worked out anew
