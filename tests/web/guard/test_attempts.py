from streamcam.web.guard.attempts import OF_ALL, PER_CLIENT, WINDOW_S, WrongTokens


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_after_five_wrong_tokens_a_client_waits_for_a_minute() -> None:
    clock = Clock()
    attempts = WrongTokens(clock=clock)
    for _ in range(PER_CLIENT):
        assert attempts.wait_s("10.0.0.1") == 0
        attempts.add("10.0.0.1")
        clock.now_s += 1
    assert attempts.wait_s("10.0.0.1") == WINDOW_S - PER_CLIENT
    assert attempts.wait_s("10.0.0.2") == 0
    clock.now_s += WINDOW_S - PER_CLIENT
    assert attempts.wait_s("10.0.0.1") == 0
    attempts.add("10.0.0.1")
    assert attempts.wait_s("10.0.0.1") == 1  # four of the last minute, and this one


def test_many_addresses_are_no_way_around_it() -> None:
    clock = Clock()
    attempts = WrongTokens(clock=clock)
    for number in range(OF_ALL):
        attempts.add(f"10.0.0.{number}")
    assert attempts.wait_s("10.1.0.1") == WINDOW_S
    clock.now_s += WINDOW_S
    assert attempts.wait_s("10.1.0.1") == 0


def test_an_ipv6_client_is_all_of_its_network() -> None:
    attempts = WrongTokens(clock=Clock())
    for number in range(PER_CLIENT):
        attempts.add(f"2001:db8:0:7::{number + 1}")
    assert attempts.wait_s("2001:db8:0:7:ffff::1") > 0
    assert attempts.wait_s("2001:db8:0:8::1") == 0
    for _ in range(PER_CLIENT):
        attempts.add("::ffff:10.0.0.9")
    assert attempts.wait_s("10.0.0.9") > 0
    assert attempts.wait_s("::ffff:10.0.0.8") == 0


def test_it_never_holds_more_than_its_bound() -> None:
    attempts = WrongTokens(clock=Clock())
    for number in range(10_000):
        attempts.add(f"10.0.{number // 256}.{number % 256}")
    assert len(attempts._recent) == OF_ALL


def test_what_a_browser_repeats_by_itself_counts_once() -> None:
    attempts = WrongTokens(clock=Clock())
    for _ in range(2 * PER_CLIENT):
        attempts.add("10.0.0.1", digest=b"old cookie")
    assert attempts.wait_s("10.0.0.1") == 0


def test_the_right_token_clears_the_record() -> None:
    attempts = WrongTokens(clock=Clock())
    for client in ["10.0.0.1", "10.0.0.2"] * PER_CLIENT:
        attempts.add(client)
    attempts.forgive("10.0.0.1")
    assert attempts.wait_s("10.0.0.1") == 0
    assert attempts.wait_s("10.0.0.2") > 0
