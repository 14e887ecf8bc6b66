"""The HTTP server of /metrics and /healthz, with real connections."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry, Counter

from streamcam.errors import StreamcamError
from streamcam.monitoring import server as module
from streamcam.monitoring.server import MAX_CLIENTS, MetricsServer
from tests.support.http import ask


class State:
    trouble: str | None = None


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def server(state: State) -> Iterator[MetricsServer]:
    registry = CollectorRegistry()
    Counter("things", "of a test", registry=registry).inc(3)
    with MetricsServer("127.0.0.1", 0) as server:
        server.start(registry, lambda: state.trouble)
        yield server


def test_metrics_are_served_as_text(server: MetricsServer) -> None:
    page = ask(server.address, "/metrics")
    assert page.code == 200
    assert page.headers["Content-Type"].startswith("text/plain; version=")
    assert page.value("things_total") == 3


def test_a_prometheus_that_wants_openmetrics_gets_it(server: MetricsServer) -> None:
    page = ask(server.address, "/metrics", headers=[("Accept", "application/openmetrics-text; version=1.0.0")])
    assert page.headers["Content-Type"].startswith("application/openmetrics-text")
    assert page.text.endswith("# EOF\n")


def test_healthz_is_ok_or_says_why_not_in_one_line(server: MetricsServer, state: State) -> None:
    assert (ask(server.address, "/healthz").code, ask(server.address, "/healthz").text) == (200, "ok\n")
    state.trouble = "cannot open\nrtsp://admin:hunter2@camera"
    page = ask(server.address, "/healthz")
    assert (page.code, page.text) == (503, "cannot open\\nrtsp://***@camera\n")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/healthz/x", "/../etc/passwd", "/Metrics"])
def test_other_paths_are_not_found(server: MetricsServer, path: str) -> None:
    assert ask(server.address, path).code == 404


def test_a_query_is_ignored(server: MetricsServer) -> None:
    assert ask(server.address, "/healthz?verbose=1").code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(server: MetricsServer, method: str) -> None:
    page = ask(server.address, "/metrics", method=method)
    assert (page.code, page.headers["Allow"]) == (405, "GET, HEAD")


def test_head_gives_the_headers_alone(server: MetricsServer) -> None:
    page = ask(server.address, "/healthz", method="HEAD")
    assert (page.code, page.headers["Content-Length"], page.text) == (200, "3", "")


def test_a_page_that_fails_is_logged_and_the_server_goes_on(
    server: MetricsServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(CollectorRegistry):
        def collect(self) -> Iterator[object]:  # type: ignore[override]
            raise RuntimeError("rtsp://a:hunter2@b is broken")

    with MetricsServer("127.0.0.1", 0) as broken:
        broken.start(Broken(), lambda: None)
        assert ask(broken.address, "/metrics").code == 500
        assert ask(broken.address, "/healthz").code == 200
    assert "cannot make /metrics: rtsp://***@b is broken" in caplog.text


def connect(server: MetricsServer) -> socket.socket:
    host, port = server.address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


@pytest.mark.parametrize("sent", [b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_sends_nothing_is_hung_up_on(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(module, "CLIENT_S", 0.3)
    with connect(server) as silent:
        silent.sendall(sent)
        assert silent.recv(100) == b""


def test_clients_that_send_nothing_hold_nobody_up_and_are_bounded(server: MetricsServer) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        for _ in range(MAX_CLIENTS - 1):
            stack.enter_context(connect(server))
        assert ask(server.address, "/healthz").code == 200
        silent = [stack.enter_context(connect(server)) for _ in range(3 * MAX_CLIENTS)]
        assert silent[-1].recv(100) == b""  # hung up on at once, long before `CLIENT_S`
        assert threading.active_count() - before <= MAX_CLIENTS


@pytest.mark.parametrize("sent", [b"\r\n\r\n", b"\0\xff\n\n", b"GET\n\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000])
def test_what_is_no_request_is_refused_and_the_server_goes_on(
    server: MetricsServer, sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with connect(server) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        try:
            while client.recv(1000):
                pass
        except ConnectionResetError:
            pass
    assert ask(server.address, "/healthz").code == 200
    assert capfd.readouterr().err == ""


def test_a_port_in_use_is_one_line(server: MetricsServer) -> None:
    host, port = server.address.rsplit(":", 1)
    with pytest.raises(StreamcamError, match=r"cannot serve metrics at 127\.0\.0\.1:\d+: Address already in use; give"):
        MetricsServer(host, int(port))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "x" * 70])
def test_an_address_of_another_machine_is_one_line(host: str) -> None:
    with pytest.raises(StreamcamError, match=r"^cannot serve metrics at .*; give another --metrics-bind$"):
        MetricsServer(host, 9464)


def test_ipv6_is_served_too() -> None:
    with MetricsServer("::1", 0) as server:
        server.start(CollectorRegistry(), lambda: None)
        assert server.address.startswith("[::1]:")
        assert ask(server.address, "/healthz").text == "ok\n"


def test_closing_ends_the_thread_and_frees_the_port_and_twice_is_fine(state: State) -> None:
    before = threading.active_count()
    server = MetricsServer("127.0.0.1", 0)
    server.start(CollectorRegistry(), lambda: None)
    host, port = server.address.rsplit(":", 1)
    server.close()
    server.close()
    assert threading.active_count() == before
    MetricsServer(host, int(port)).close()  # never started
