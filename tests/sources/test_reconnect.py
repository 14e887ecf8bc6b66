"""Cameras that fail, with a real RTSP server and a proxy between it and the source."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from random import Random
from threading import Thread
from typing import cast

import pytest

from streamcam.clips import SlidingWindow
from streamcam.errors import StreamcamError
from streamcam.records import ClipFormat, Frame
from streamcam.sources.status import JITTER, RETRY_DELAYS_S, Backoff, SourceStatus
from streamcam.sources.video import VideoSource
from tests.support.cameras import camera, held, in_order, playing, rtsp_server, stop_after
from tests.support.paths import ROOT
from tests.support.proxy import Proxy, proxy

pytestmark = pytest.mark.slow

S = 1_000_000_000
RECONNECTS = int(os.environ.get("STREAMCAM_TEST_RECONNECTS", "50"))
RTP_HEADER = 12


@pytest.fixture
def way(server_port: int) -> Iterator[Proxy]:
    """The way to the server, for tests to tamper with."""
    with proxy(server_port) as made:
        yield made


def url(port: int) -> str:
    return f"rtsp://127.0.0.1:{port}/live"


@contextmanager
def states_of(source: VideoSource) -> Iterator[list[SourceStatus]]:
    """All states that a source goes through, one after the other."""
    seen = [source.status]
    with stop_after(100) as done:

        def watch() -> None:
            while not done.wait(0.005):
                if (state := source.status) != seen[-1]:
                    seen.append(state)

        thread = Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            done.set()
            thread.join()


def test_waits_grow_to_ten_seconds_and_each_is_up_to_a_fifth_off() -> None:
    backoff = Backoff(randomness=Random(0))
    waits_s = [backoff.next_s() for _ in range(200)]
    usual_s = [*RETRY_DELAYS_S, *[10.0] * 200][:200]
    off = [wait_s / usual - 1 for wait_s, usual in zip(waits_s, usual_s, strict=True)]
    assert -JITTER <= min(off) < -0.9 * JITTER
    assert 0.9 * JITTER < max(off) <= JITTER
    backoff.reset()
    assert backoff.next_s() <= 0.6


def test_what_is_back_after_up_to_five_seconds_is_tried_soon() -> None:
    for seed in range(300):
        backoff, try_s = Backoff(randomness=Random(seed)), 0.0
        tries_s = [try_s := try_s + backoff.next_s() for _ in range(20)]
        for outage_s in (0.5, 1, 2, 3, 4, 5):
            assert next(at_s for at_s in tries_s if at_s >= outage_s) - outage_s <= 0.6


def test_a_camera_that_is_not_there_yet_is_waited_for_and_says_why(free_port: int) -> None:
    source = camera(url(free_port), retry_s=0.3)
    assert source.status == SourceStatus("connecting")
    with stop_after(20) as stop, closing(source), states_of(source) as states:
        frames: list[Frame] = []
        thread = Thread(target=lambda: frames.extend(itertools.islice(source.frames(stop), 3)))
        thread.start()
        time.sleep(1)
        lost = next(state for state in states if state.kind == "lost")
        assert lost.reason is not None
        assert "nobody listens there" in lost.reason
        assert lost.next_try_s == pytest.approx(time.time(), abs=2)
        assert str(lost).startswith(f"lost: cannot open {url(free_port)}: nobody listens there")
        assert str(lost).endswith(f"; trying again after {lost.wait_s:.1f} s")
        with rtsp_server(free_port):
            thread.join()
    assert [f.session for f in frames] == [0, 0, 0]
    assert [state.kind for state in states][-2:] == ["connecting", "live"]


@pytest.mark.parametrize("uri", ["987", "rtsp://warden:sesame@nowhere.invalid/live"])
def test_a_camera_that_may_be_plugged_in_later_is_waited_for(uri: str) -> None:
    with stop_after(1) as stop, closing(camera(uri, retry_s=0.1)) as source, states_of(source) as states:
        assert list(source.frames(stop)) == []
    assert {state.kind for state in states} == {"connecting", "lost"}
    reason = states[-1].reason or ""
    assert "no such camera: /dev/video987" in reason or "unknown host 'nowhere.invalid'" in reason
    assert "sesame" not in reason


def test_a_wrong_password_is_a_reason_and_no_end(free_port: int) -> None:
    with (
        rtsp_server(free_port, "--user", "warden", "--password", "sesame"),
        stop_after(1.5) as stop,
        closing(camera(f"rtsp://warden:open-barley@127.0.0.1:{free_port}/live", retry_s=0.1)) as source,
        states_of(source) as states,
    ):
        assert list(source.frames(stop)) == []
    assert "wrong or missing user name or password" in str(states[-1])
    assert len([state for state in states if state.kind == "lost"]) >= 2
    assert not any(secret in f"{state!r} {state}" for state in states for secret in ("warden", "barley"))


def test_a_server_that_hangs_up_at_once_is_said_to(way: Proxy) -> None:
    way.refusing = True
    with pytest.raises(StreamcamError, match="the connection breaks off, or what comes is not video"):
        camera(url(way.port)).open()


@pytest.mark.parametrize("offered", ["tcp", "udp"])
def test_a_camera_that_offers_one_way_for_its_pictures_is_read_that_way_each_time(free_port: int, offered: str) -> None:
    with stop_after(30) as stop, closing(camera(url(free_port), retry_s=0.2)) as source:
        coming = source.frames(stop)
        with rtsp_server(free_port, "--transport", offered):
            frames = list(itertools.islice(coming, 10))
        with rtsp_server(free_port, "--transport", offered):
            frames += itertools.islice(itertools.dropwhile(lambda frame: frame.session == 0, coming), 10)
    assert [f.session for f in frames] == [0] * 10 + [1] * 10
    assert in_order(frames[10:])


@pytest.mark.parametrize("transport", ["tcp", "udp", "http"])
def test_the_way_for_the_pictures_can_be_told(server_port: int, transport: str) -> None:
    with stop_after(20) as stop, closing(camera(url(server_port), rtsp_transport=transport)) as source:
        assert len(list(itertools.islice(source.frames(stop), 5))) == 5


@pytest.mark.parametrize(("offered", "told"), [("udp", "tcp"), ("tcp", "udp")])
def test_a_way_that_a_camera_does_not_offer_is_a_reason(free_port: int, offered: str, told: str) -> None:
    with (
        rtsp_server(free_port, "--transport", offered),
        pytest.raises(StreamcamError, match="does not send its pictures that way"),
    ):
        camera(url(free_port), rtsp_transport=told).open()


@pytest.mark.parametrize("answer", ["400 Bad Request", "406 Not Acceptable", "501 Not Implemented", "551 Option"])
def test_a_camera_that_refuses_tcp_in_its_own_words_is_read_by_udp(free_port: int, answer: str) -> None:
    """The standard's word for it is 461 (RFC 2326, 7.1.1), after which FFmpeg itself tries UDP."""
    with (
        rtsp_server(free_port, "--transport", "udp"),
        playing(free_port),
        proxy(free_port) as way,
        stop_after(20) as stop,
        closing(camera(url(way.port), retry_s=0.2)) as source,
    ):
        way.status = b"461 Unsupported transport", answer.encode()
        assert in_order(list(itertools.islice(source.frames(stop), 5)))


def test_a_camera_that_promises_tcp_and_sends_nothing_is_read_by_udp_from_then_on(way: Proxy) -> None:
    way.edit = lambda _: None
    with stop_after(40) as stop, closing(camera(url(way.port), retry_s=0.1)) as source, states_of(source) as states:
        coming = source.frames(stop)
        frames = list(itertools.islice(coming, 5))
        way.cut()
        frames += itertools.islice(itertools.dropwhile(lambda frame: frame.session == 0, coming), 5)
    assert len(frames) == 10
    assert in_order(frames[:5])
    kinds = [state.kind for state in states if state.kind in ("lost", "live")]
    assert kinds == ["lost", "live", "lost", "live"]


@pytest.mark.parametrize("outage_s", [0.2, 2.0, 5.0])
def test_a_camera_that_is_restarted_gives_a_window_within_three_seconds(free_port: int, outage_s: float) -> None:
    """A window of `motion`, which takes 2.1 s."""
    window = SlidingWindow(
        ClipFormat(length=32, fps=15, resize=(36, 48), crop=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
    )
    frames: list[Frame] = []

    def look() -> None:
        for frame in coming:
            frames.append(frame)
            if window.push(frame) is not None and frame.session == 1:
                return

    with stop_after(40) as stop, closing(camera(url(free_port))) as source:
        coming = source.frames(stop)
        with rtsp_server(free_port):
            frames += itertools.islice(coming, 10)
        thread = Thread(target=look)
        thread.start()
        time.sleep(outage_s)
        with rtsp_server(free_port):
            back_s = time.monotonic()
            thread.join()
            assert time.monotonic() - back_s < 3
    assert frames[0].session == 0
    assert frames[-1].session == 1


def test_silence_is_a_stall_and_then_a_loss_and_the_next_session_begins_afresh(way: Proxy) -> None:
    source = camera(url(way.port), retry_s=0.1)
    with stop_after(20) as stop, closing(source), states_of(source) as states:
        coming = source.frames(stop)
        frames = list(itertools.islice(coming, 10))
        way.frozen = True
        frozen_s = time.monotonic()
        thread = Thread(target=lambda: frames.extend(itertools.islice(coming, 30)))
        thread.start()
        while source.status.kind != "lost":
            assert time.monotonic() - frozen_s < 4.5
            time.sleep(0.01)
        assert source.status.reason == "nothing has come for 3 s"
        assert time.monotonic() - frozen_s > 2.5
        way.cut()
        way.frozen = False
        thread.join()
    kinds = [state.kind for state in states]
    assert kinds == ["connecting", "live", "stalled", "lost", "connecting", "live"]
    assert in_order(frames)
    assert frames[-1].session == 1
    assert next(f for f in frames if f.session == 1).pts_s < 0.1


def test_the_end_of_a_stream_is_a_loss(way: Proxy) -> None:
    with stop_after(20) as stop, closing(camera(url(way.port), retry_s=0.1)) as source, states_of(source) as states:
        coming = source.frames(stop)
        frames = list(itertools.islice(coming, 5))
        way.cut()
        frames += itertools.islice(coming, 20)
    assert in_order(frames)
    assert frames[-1].session == 1
    assert [state.kind for state in states] == ["connecting", "live", "lost", "connecting", "live"]


def _frozen_before_it_answers(way: Proxy) -> None:
    way.frozen = True


def _frozen_while_it_plays(way: Proxy) -> None:
    time.sleep(0.6)
    way.frozen = True


def _refusing(way: Proxy) -> None:
    way.refusing = True


def _trickling(way: Proxy) -> None:
    way.bytes_per_s = 300


def _playing(way: Proxy) -> None:
    pass


@pytest.mark.parametrize("fault", [_frozen_before_it_answers, _frozen_while_it_plays, _refusing, _trickling, _playing])
def test_a_stop_is_obeyed_in_every_state_and_leaves_nothing(way: Proxy, fault: Callable[[Proxy], None]) -> None:
    before = held()
    with stop_after(60) as stop, closing(camera(url(way.port), retry_s=60)) as source:
        thread = Thread(target=lambda: list(source.frames(stop)))
        thread.start()
        fault(way)
        time.sleep(0.7)
        stop.set()
        stopped_s = time.monotonic()
        thread.join(10)
        assert time.monotonic() - stopped_s < 3.5
        assert not thread.is_alive()
    way.cut()
    time.sleep(0.2)
    assert held() == before


def test_reconnects_leave_nothing_behind_and_mix_nothing_up(server_port: int) -> None:
    """`STREAMCAM_TEST_RECONNECTS=500` makes it a long one. In a process of its own, whose memory is nobody else's."""
    command = [sys.executable, "-m", "tests.support.reconnects", str(server_port), str(RECONNECTS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    early, late = json.loads(done.stdout)
    assert late["held"] == early["held"]
    assert late["memory"] - early["memory"] <= 5e6


def test_a_slow_line_is_late_and_is_no_mix_up(way: Proxy) -> None:
    with stop_after(20) as stop, closing(camera(url(way.port), retry_s=0.1)) as source:
        coming = source.frames(stop)
        frames = list(itertools.islice(coming, 10))
        way.bytes_per_s = 3000
        ends_s = time.monotonic() + 4
        frames += itertools.takewhile(lambda _: time.monotonic() < ends_s, coming)
        way.bytes_per_s = None
        frames += itertools.islice(coming, 1, 30)
    assert in_order(frames[:10])
    assert all(a.captured_ns <= b.captured_ns for a, b in itertools.pairwise(frames))


def damaged(seed: int) -> Callable[[bytes], bytes]:
    """RTP packets whose payload is partly noise."""
    random = Random(seed)

    def edit(packet: bytes) -> bytes:
        body = bytearray(packet)
        if random.random() < 0.3:
            for _ in range(20):
                body[random.randrange(RTP_HEADER, len(body))] = random.randrange(256)
        return bytes(body)

    return edit


def cut_short(seed: int) -> Callable[[bytes], bytes]:
    random = Random(seed)
    return lambda packet: packet[: random.randrange(len(packet))] if random.random() < 0.3 else packet


@pytest.mark.parametrize("tamper", [damaged, cut_short])
def test_damaged_packets_cost_pictures_and_nothing_else(
    way: Proxy, tamper: Callable[[int], Callable[[bytes], bytes]]
) -> None:
    before = held()
    with (
        stop_after(20) as stop,
        closing(camera(url(way.port), retry_s=0.1)) as source,
        closing(cast(Generator[Frame], source.frames(stop))) as coming,
    ):
        frames = list(itertools.islice(coming, 5))
        way.edit = tamper(1)
        ends_s = time.monotonic() + 2
        frames += itertools.takewhile(lambda _: time.monotonic() < ends_s, coming)
        way.edit = None
        frames += itertools.islice(coming, 1, 40)
        assert source.state == "live"
    assert all((a.session, a.pts_s) < (b.session, b.pts_s) for a, b in itertools.pairwise(frames))
    way.cut()
    time.sleep(0.2)
    assert held() == before


def shifted(ticks: int) -> Callable[[bytes], bytes]:
    """RTP packets whose time, in 1/90000 s, is so much further on."""

    def edit(packet: bytes) -> bytes:
        at = (int.from_bytes(packet[4:8]) + ticks) % (1 << 32)
        return packet[:4] + at.to_bytes(4) + packet[8:]

    return edit


@pytest.mark.parametrize("jump_s", [-30, -1, 3, 3600, 20_000])
def test_a_camera_that_sets_its_clock_goes_on_and_never_back(way: Proxy, jump_s: int) -> None:
    with stop_after(20) as stop, closing(camera(url(way.port), retry_s=0.1)) as source:
        coming = source.frames(stop)
        frames = list(itertools.islice(coming, 10))
        way.edit = shifted(jump_s * 90_000)
        begin_s = time.monotonic()
        frames += itertools.islice(coming, 60)
        assert time.monotonic() - begin_s < 8
    assert in_order(frames)


@pytest.mark.parametrize(("form", "shape"), [("640x480@30", (480, 640, 3)), ("320x240@15", (240, 320, 3))])
def test_a_camera_that_changes_size_or_rate_begins_a_new_session(
    free_port: int, form: str, shape: tuple[int, ...]
) -> None:
    with (
        rtsp_server(free_port) as server,
        stop_after(20) as stop,
        closing(camera(url(free_port), retry_s=0.1)) as source,
        states_of(source) as states,
    ):
        coming = source.frames(stop)
        frames = list(itertools.islice(coming, 30))
        assert server.stdin is not None
        print(form, file=server.stdin, flush=True)
        frames += itertools.islice(itertools.dropwhile(lambda frame: frame.session == 0, coming), 10)
    assert {f.pixels.shape for f in frames if f.session == 0} == {(240, 320, 3)}
    assert {f.pixels.shape for f in frames if f.session == 1} == {shape}
    assert [f.session for f in frames[-10:]] == [1] * 10
    assert [(state.kind, state.session) for state in states] == [("connecting", 0), ("live", 0), ("live", 1)]


def test_a_camera_that_comes_back_with_another_codec_begins_a_new_session(free_port: int) -> None:
    frames: list[Frame] = []
    with stop_after(40) as stop, closing(camera(url(free_port), retry_s=0.1)) as source:
        coming = source.frames(stop)
        for session, codec in enumerate(("h264", "vp8")):
            with rtsp_server(free_port, "--codec", codec):
                for frame in coming:
                    frames.append(frame)
                    if [f.session for f in frames].count(session) == 10:
                        break
                assert source.open().streams.video[0].codec_context.name == codec
    assert in_order(frames)
    assert {f.session for f in frames} == {0, 1}
    assert {f.pixels.shape for f in frames} == {(240, 320, 3)}
