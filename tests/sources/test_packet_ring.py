from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import cast

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcam.events.recording.clip import ClipWriter
from streamcam.records import Frame
from streamcam.sources import packet_tap
from streamcam.sources.base import open_source
from streamcam.sources.packet_ring import PACKET_OVERHEAD, ClipStreams, PacketRing, StoredPacket
from tests.support.containers import add_video
from tests.support.counted import FPS, number_in, numbered, shown, write_counted

STREAMS = cast(ClipStreams, None)
"""Of packets that are never written."""


def packet(pts_s: float, *, key: bool = False, sound: bool = False, size: int = 1000) -> StoredPacket:
    kind = "sound" if sound else "video"
    return StoredPacket(kind, b"\0" * size, pts_s, pts_s, 0.04, Fraction(1, 90_000), key)  # type: ignore[arg-type]


def made(*packets: StoredPacket, max_bytes: int = 1 << 20, max_s: float = 10.0) -> PacketRing:
    ring = PacketRing(max_bytes=max_bytes, max_s=max_s)
    ring.begin(0, STREAMS)
    for each in packets:
        ring.push(each)
    return ring


def read(path: Path | str, *, max_bytes: int = 64_000_000, loop: int = 1) -> tuple[PacketRing, list[Frame]]:
    ring, frames, stop = PacketRing(max_bytes=max_bytes, max_s=1000), [], Event()
    source = open_source(str(path), paced=False, ring=ring, loop=loop > 1)
    for frame in source.frames(stop):
        if frame.session == loop:
            stop.set()
            break
        frames.append(frame)
    source.close()
    return ring, frames


def clip(ring: PacketRing, path: Path, *, begin_s: float = 0.0, session: int = 0) -> float:
    """Write all from a time on; return the first picture's own time."""
    first, streams = ring.first(session, begin_s), ring.streams(session)
    assert first is not None
    assert streams is not None
    writer = ClipWriter(path, streams)
    for each in ring.since(session, first):
        writer.write(each)
    writer.close()
    assert writer.begin_s is not None
    return writer.begin_s


@given(
    kinds=st.lists(st.tuples(st.sampled_from("kvvvs"), st.integers(1, 3000)), max_size=200),
    max_bytes=st.integers(5_000, 50_000),
    max_s=st.floats(0.1, 5),
)
def test_it_begins_with_a_key_frame_and_keeps_to_its_bytes(
    kinds: list[tuple[str, int]], max_bytes: int, max_s: float
) -> None:
    ring = PacketRing(max_bytes=max_bytes, max_s=max_s)
    ring.begin(0, STREAMS)
    for i, (kind, size) in enumerate(kinds):
        ring.push(packet(i / 25, key=kind == "k", sound=kind == "s", size=size))
        kept = ring.since(0, 0)
        assert ring.bytes == sum(len(p.data) + PACKET_OVERHEAD for p in kept) <= max_bytes
        assert not kept or kept[0].is_key
        assert [p.number for p in kept] == list(range(kept[0].number, kept[0].number + len(kept))) if kept else True


def test_it_keeps_as_many_seconds_as_it_was_told_to() -> None:
    ring = made(*(packet(i / 25, key=i % 25 == 0) for i in range(1000)), max_s=5)
    kept = ring.since(0, 0)
    assert 5 <= kept[-1].pts_s - kept[0].pts_s < 6


def test_pictures_that_are_larger_than_the_ring_leave_it_empty_and_are_counted() -> None:
    ring = made(packet(0, key=True, size=4000), packet(0.04, size=4000), max_bytes=6000)
    assert (ring.since(0, 0), ring.bytes, ring.overflows) == ([], 0, 1)
    ring.push(packet(0.08))
    assert not ring.since(0, 0)
    ring.push(packet(0.12, key=True))
    assert [p.pts_s for p in ring.since(0, 0)] == [0.12]


def test_it_finds_the_last_key_frame_at_or_before_a_time() -> None:
    ring = made(*(packet(i / 10, key=i % 10 == 0) for i in range(50)))
    assert [ring.first(0, t) for t in (-1, 0, 0.95, 1, 2.5, 99)] == [0, 0, 0, 10, 20, 40]
    assert ring.first(1, 0) is None


def test_a_session_never_has_packets_of_another() -> None:
    ring = made(packet(50, key=True), packet(50.04))
    ring.begin(1, STREAMS)
    ring.push(packet(0.0))  # leans on pictures of the session before
    ring.push(packet(0.04, key=True))
    assert [p.pts_s for p in ring.since(0, 0)] == [50, 50.04]
    assert [p.pts_s for p in ring.since(1, 0)] == [0.04]
    assert (ring.is_over(0), ring.is_over(1)) == (True, False)
    for i in range(2, 400):
        ring.push(packet(i / 25, key=i % 25 == 0))
    assert not ring.since(0, 0)
    assert ring.streams(0) is None


def test_pictures_after_a_clock_was_set_back_are_not_mixed_with_those_before() -> None:
    ring = made(packet(50, key=True), packet(50.04), packet(1.0), packet(1.04, key=True))
    assert [p.pts_s for p in ring.since(0, 0)] == [1.04]


def test_readers_follow_it_without_copies() -> None:
    ring = made(packet(0, key=True), packet(0.04))
    assert ring.since(0, 0)[1].data is ring.since(0, 1)[0].data
    ring.push(packet(0.08))
    assert [p.number for p in ring.since(0, 2)] == [2]


VIDEOS = {
    "mp4": {"b_frames": 3},
    "mkv": {"b_frames": 3},
    "ts": {"b_frames": 2, "sound": "aac"},
    "flv": {},
    "mov": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", VIDEOS)
def test_what_is_copied_is_what_was_seen(suffix: str, tmp_path: Path) -> None:
    path = write_counted(tmp_path / f"in.{suffix}", **VIDEOS[suffix])  # type: ignore[arg-type]
    ring, frames = read(path)
    begin_s = clip(ring, tmp_path / "out.mp4", begin_s=frames[110].pts_s)
    assert frames[110].pts_s - 1.1 < begin_s <= frames[110].pts_s + 1e-6
    pictures = shown(tmp_path / "out.mp4")
    assert pictures[0][0] == pytest.approx(0, abs=1e-3)
    times = {number_in(frame.pixels): frame.pts_s for frame in frames}
    assert [n for _, n in pictures] == list(range(pictures[0][1], 200))
    assert [t + begin_s for t, _ in pictures] == pytest.approx([times[n] for _, n in pictures], abs=2e-3)


ENCODED = {
    "avi": {"b_frames": 2},  # it has decoding times only
    "h264": {},  # it has no times
    "mjpg": {"codec": "mjpeg", "layout": "yuvj420p"},
    "mp4": {"codec": "mpeg4"},
}


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ENCODED)
def test_what_cannot_be_copied_is_encoded(suffix: str, tmp_path: Path) -> None:
    path = write_counted(tmp_path / f"in.{suffix}", frames=100, **ENCODED[suffix])  # type: ignore[arg-type]
    ring, frames = read(path)
    begin_s = clip(ring, tmp_path / "out.mp4", begin_s=2.5)
    assert 1.4 < begin_s <= 2.5
    pictures = shown(tmp_path / "out.mp4")
    times = {number_in(frame.pixels): frame.pts_s for frame in frames}
    assert [n for _, n in pictures] == list(range(pictures[0][1], 100))
    assert [t + begin_s for t, _ in pictures] == pytest.approx([times[n] for _, n in pictures], abs=2e-3)


def test_each_round_of_a_loop_is_a_session_of_its_own(tmp_path: Path) -> None:
    ring, _ = read(write_counted(tmp_path / "in.mp4", frames=60, b_frames=2), loop=2)
    for session in (0, 1):
        assert clip(ring, tmp_path / "out.mp4", session=session) == pytest.approx(0, abs=1e-3)
        assert [n for _, n in shown(tmp_path / "out.mp4")] == list(range(60))


def test_a_video_that_is_shown_turned_gives_a_clip_that_is_shown_turned(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        stream = add_video(container, "libx264", rate=FPS, size=(240, 120))
        stream.set_display_matrix((0, 1 << 16, 0, -1 << 16, 0, 0, 120 << 16, 0, 1 << 30))  # a quarter turn
        for i in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(i), format="rgb24")))
        container.mux(stream.encode())
    ring, frames = read(path)
    clip(ring, tmp_path / "out.mp4")
    _, again = read(tmp_path / "out.mp4")
    assert frames[0].pixels.shape == again[0].pixels.shape == (240, 120, 3)
    assert np.array_equal(frames[5].pixels, again[5].pixels)


def test_a_source_without_a_ring_keeps_nothing(tmp_path: Path) -> None:
    source = open_source(str(write_counted(tmp_path / "in.mp4", frames=10, sound="aac")), paced=False)
    assert len(list(source.frames(Event()))) == 10
    assert source.ring is None


def test_a_source_is_watched_even_if_no_clips_of_it_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("no such encoder")

    monkeypatch.setattr(packet_tap, "FrameEncoder", refuse)
    ring, frames = read(write_counted(tmp_path / "in.avi", frames=10))
    assert len(frames) == 10
    assert not ring.since(0, 0)
    assert "there are no clips of" in caplog.text


def test_the_memory_of_a_real_stream_is_bounded(tmp_path: Path) -> None:
    path = write_counted(tmp_path / "in.mp4", frames=500, key_every=10)
    whole, _ = read(path)
    small, _ = read(path, max_bytes=whole.bytes // 4)
    assert 0 < small.bytes <= whole.bytes // 4
    assert small.since(0, 0)[0].is_key


def test_packets_are_shifted_with_both_their_times() -> None:
    moved = replace(packet(2.0), dts_s=1.5).shifted(10.0)
    assert (moved.pts_s, moved.dts_s) == (12.0, 11.5)
    assert replace(packet(2.0), dts_s=None).shifted(10.0).dts_s is None
