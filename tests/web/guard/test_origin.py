import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from streamcam.web.guard.origin import client_of, is_for_loopback, is_same_origin


def headers(**values: str | list[str]) -> Headers:
    pairs = [
        (k.replace("_", "-"), v) for k, some in values.items() for v in ([some] if isinstance(some, str) else some)
    ]
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in pairs])


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8090", "LOCALHOST:1", "127.0.0.1:8090", "[::1]:8090", "[::1]"]
)
def test_the_names_of_this_machine(host: str) -> None:
    assert is_for_loopback(headers(host=host))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8090",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil@localhost",
        "localhost:x",
        "",
        "[::1",
        "127.0.0.1/",
        "localhost:8090:1",
        "0.0.0.0:8090",
        "127.0.0.1#evil",
    ],
)
def test_other_names_may_be_another_website_that_points_here(host: str) -> None:
    assert not is_for_loopback(headers(host=host))


def test_one_host_is_expected() -> None:
    assert not is_for_loopback(headers())
    assert not is_for_loopback(headers(host=["localhost", "evil.example"]))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8090", "localhost:8090"),
        ("https://cameras.example", "cameras.example"),
        ("https://cameras.example", "cameras.example:443"),
        ("https://cameras.example:443", "Cameras.example"),
        ("http://[::1]:8090", "[::1]:8090"),
    ],
)
def test_our_own_page(origin: str, host: str) -> None:
    assert is_same_origin(headers(origin=origin, host=host))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "localhost:8090"),
        ("http://localhost:8091", "localhost:8090"),
        ("http://localhost", "localhost:8090"),
        ("http://cameras.example", "cameras.example:443"),
        ("null", "localhost:8090"),
        ("", ""),
        ("http://", ""),
        ("http://localhost:8090.evil.example", "localhost:8090"),
        ("http://localhost:8090@evil.example", "localhost:8090"),
        ("http://localhost:8090/x", "localhost:8090"),
        ("file://localhost:8090", "localhost:8090"),
    ],
)
def test_another_page(origin: str, host: str) -> None:
    assert not is_same_origin(headers(origin=origin, host=host))


def test_two_origins_are_one_too_many() -> None:
    assert not is_same_origin(headers(origin=["http://localhost", "http://localhost"], host="localhost"))


def test_what_is_not_a_browser_has_no_origin() -> None:
    assert is_same_origin(headers(host="localhost:8090"))
    assert is_same_origin(headers(host="localhost:8090", sec_fetch_site="same-origin"))
    assert not is_same_origin(headers(host="localhost:8090", sec_fetch_site="cross-site"))


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_odd_headers_are_no_error(one: str, other: str) -> None:
    is_same_origin(headers(origin=one, host=other))
    is_for_loopback(headers(host=other))
    client_of("10.0.0.1", headers(x_forwarded_for=one), behind_proxy=True)


def test_a_proxy_says_from_whom_a_request_is() -> None:
    several = headers(x_forwarded_for=["1.1.1.1", "2.2.2.2, 203.0.113.7"])
    assert client_of("10.0.0.1", several, behind_proxy=True) == "203.0.113.7"
    assert client_of("10.0.0.1", several, behind_proxy=False) == "10.0.0.1"
    assert client_of("10.0.0.1", headers(), behind_proxy=True) == "10.0.0.1"
    assert client_of("10.0.0.1", headers(x_forwarded_for="7.7.7.7, unknown"), behind_proxy=True) == "10.0.0.1"
