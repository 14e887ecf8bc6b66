import json
import logging
import shutil
import subprocess
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from threading import Event

import av
import pytest

from streamcam.events.recording.clip import ClipWriter
from streamcam.sinks.faststart import index_first
from tests.sources.test_packet_ring import clip, read
from tests.support.counted import FPS, shown, shown_by_opencv, write_counted
from tests.support.media import beeps
from tests.support.serving import Quiet, serving

PLAY = """<!doctype html><video id=v src=clip.mp4 muted></video><script>
const say = (what) => fetch("/said", {method: "POST", body: JSON.stringify(what)});
v.onended = () => say({seconds: v.duration, at: v.currentTime, width: v.videoWidth, height: v.videoHeight});
v.onerror = () => say({error: v.error.message});
v.oncanplay = () => { v.oncanplay = null; v.play(); };
</script>"""


@pytest.mark.parametrize("b_frames", [0, 3])
def test_a_clip_begins_at_zero_with_the_key_frame_before_the_wanted_time(b_frames: int, tmp_path: Path) -> None:
    ring, _ = read(write_counted(tmp_path / "in.mp4", b_frames=b_frames))
    assert clip(ring, tmp_path / "out.mp4", begin_s=3.3) == pytest.approx(3.0, abs=1e-3)
    pictures = shown(tmp_path / "out.mp4")
    assert pictures[0] == (0.0, 75)
    assert [n for _, n in pictures] == shown_by_opencv(tmp_path / "out.mp4") == list(range(75, 200))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.demux(video=0)).is_keyframe


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "aac"), ("ts", "aac"), ("mkv", "ac3"), ("mkv", "libopus"), ("mov", "pcm_alaw")]
)
def test_sound_and_picture_stay_together(suffix: str, codec: str, tmp_path: Path) -> None:
    path = write_counted(tmp_path / f"in.{suffix}", b_frames=2, sound=codec)
    offsets = [beep - round(beep) for beep in beeps(path)[1:]]  # of the file itself
    ring, _ = read(path)
    clip(ring, tmp_path / "out.mp4", begin_s=3.3)
    first = shown(tmp_path / "out.mp4")[0]
    heard = [beep + first[1] / FPS - first[0] for beep in beeps(tmp_path / "out.mp4") if beep > 0.1]
    assert len(heard) >= 4
    assert [t - round(t) for t in heard] == pytest.approx([0.0] * len(heard), abs=0.03), offsets


def test_sound_that_no_clip_can_hold_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ring, _ = read(write_counted(tmp_path / "in.mkv", sound="flac"))
    assert "are without sound: an mp4 holds no flac" in caplog.text
    clip(ring, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio
    assert len(shown(tmp_path / "out.mp4")) == 200


@pytest.mark.parametrize("b_frames", [0, 3])
def test_an_unfinished_clip_plays_up_to_its_last_fragment(b_frames: int, tmp_path: Path) -> None:
    ring, _ = read(write_counted(tmp_path / "in.mp4", b_frames=b_frames, sound="aac"))
    streams = ring.streams(0)
    assert streams is not None
    writer = ClipWriter(tmp_path / "out.mp4", streams)
    for packet in ring.since(0, 0):
        writer.write(packet)
    shutil.copy(tmp_path / "out.mp4", tmp_path / "killed.mp4")
    writer.close()
    pictures = shown(tmp_path / "killed.mp4")
    assert pictures[0] == (0.0, 0)
    assert [n for _, n in pictures] == list(range(len(pictures)))
    assert len(pictures) > 200 - 2 * FPS


def test_a_clip_is_made_of_the_packets_themselves(tmp_path: Path) -> None:
    ring, _ = read(write_counted(tmp_path / "in.mp4", b_frames=2))
    clip(ring, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "in.mp4")) as before, av.open(str(tmp_path / "out.mp4")) as after:
        wanted = [bytes(packet) for packet in before.demux(video=0)]
        assert [bytes(packet) for packet in after.demux(video=0)] == wanted


def test_times_that_go_back_a_little_are_mended(tmp_path: Path) -> None:
    ring, _ = read(write_counted(tmp_path / "in.mp4"))
    packets, streams = list(ring.since(0, 0)), ring.streams(0)
    assert streams is not None
    packets[6] = packets[6].shifted(-0.05)  # before the one that it leans on
    writer = ClipWriter(tmp_path / "out.mp4", streams)
    for packet in packets:
        writer.write(packet)
    writer.close()
    assert len(shown(tmp_path / "out.mp4")) == 200


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize("b_frames", [0, 3])
def test_a_clip_plays_in_chromium(b_frames: int, tmp_path: Path) -> None:
    ring, _ = read(write_counted(tmp_path / "in.mp4", b_frames=b_frames, sound="aac"))
    clip(ring, tmp_path / "clip.mp4", begin_s=4.2)
    index_first(tmp_path / "clip.mp4")
    (tmp_path / "page.html").write_text(PLAY)

    said, has_said = dict[str, float](), Event()

    class Handler(Quiet, SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def do_POST(self) -> None:
            said.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            has_said.set()

    options = ["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
    keep_open = ["--remote-debugging-port=0", f"--user-data-dir={tmp_path / 'profile'}"]
    with serving(Handler) as host:
        command = ["chromium", *options, *keep_open, f"http://{host}/page.html"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                assert has_said.wait(90), "it does not play to the end"
            finally:
                browser.terminate()
    assert said["seconds"] == said["at"] == pytest.approx(4.0, abs=0.1), said
    assert (said["width"], said["height"]) == (240, 120)
