"""Which of a file's streams is read: ISO/IEC 14496-12's and Matroska's flags, as FFmpeg gives them (dispositions)."""

from contextlib import closing
from pathlib import Path
from threading import Event

import av
import numpy as np
import pytest
from av.stream import Disposition

from streamcam.errors import StreamcamError
from streamcam.sinks.audio import Sound
from streamcam.sources.base import open_source
from streamcam.sources.stream_selection import select_audio_stream, select_video_stream
from streamcam.train.data.dataset import _length_s
from tests.support.streams import Tone, Video, cover, cover_first, two_programmes, write_streams

DEFAULT = Disposition.default


def greys(path: Path, number: int | None = None) -> set[int]:
    """Which greys are to be seen, to the nearest ten."""
    with closing(open_source(str(path), paced=False, video_stream=number)) as source:
        return {round(float(np.mean(frame.pixels)) / 10) * 10 for frame in source.frames(Event())}


def test_a_cover_before_the_video_is_passed_over(tmp_path: Path) -> None:
    path = cover_first(write_streams(tmp_path / "phone.mp4", [cover(), Video(60)]))
    with av.open(str(path)) as container:  # the case is there: FFmpeg lists the cover first
        assert container.streams.video[0].disposition & Disposition.attached_pic
    assert greys(path) == {60}
    assert _length_s(path) == pytest.approx(8 / 25)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_the_stream_marked_default_is_read_though_another_is_first_and_larger(suffix: str, tmp_path: Path) -> None:
    streams = [Video(60, 128, 96), Video(120, disposition=DEFAULT)]
    assert greys(write_streams(tmp_path / f"two.{suffix}", streams)) == {120}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_of_streams_that_are_marked_alike_the_largest_is_read(suffix: str, tmp_path: Path) -> None:
    marked = DEFAULT if suffix in ("mp4", "mkv") else Disposition(0)
    streams = [Video(60, disposition=marked), Video(120, 128, 96, disposition=marked)]
    assert greys(write_streams(tmp_path / f"two.{suffix}", streams)) == {120}


def test_of_streams_of_one_size_the_longest_is_read(tmp_path: Path) -> None:
    streams = [Video(60, frames=3, disposition=DEFAULT), Video(120, frames=9, disposition=DEFAULT)]
    assert greys(write_streams(tmp_path / "two.mp4", streams)) == {120}


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_large_single_picture_that_is_not_marked_as_a_cover_is_no_video(suffix: str, tmp_path: Path) -> None:
    marked = DEFAULT
    streams = [Video(250, 640, 480, 1, "mjpeg", marked), Video(60, disposition=marked)]
    assert greys(write_streams(tmp_path / f"two.{suffix}", streams)) == {60}


@pytest.mark.parametrize("aside", [Disposition.comment, Disposition.visual_impaired, Disposition.hearing_impaired])
def test_a_stream_that_stands_beside_the_main_one_is_not_read(aside: Disposition, tmp_path: Path) -> None:
    streams = [Video(120, 128, 96, disposition=aside), Video(60)]
    assert greys(write_streams(tmp_path / "two.mkv", streams)) == {60}


def test_a_number_chooses_and_covers_are_not_counted(tmp_path: Path) -> None:
    path = cover_first(write_streams(tmp_path / "three.mp4", [cover(), Video(60), Video(120, disposition=DEFAULT)]))
    assert greys(path, 0) == {60}
    assert greys(path, 1) == {120}


def test_a_number_that_is_too_large_tells_which_there_are(tmp_path: Path) -> None:
    path = write_streams(tmp_path / "two.mp4", [Video(60, disposition=DEFAULT), Video(120, 128, 96)])
    with pytest.raises(StreamcamError) as caught:
        open_source(str(path), video_stream=2)
    assert str(caught.value) == (
        f"no video stream 2 in {path}: there are 2 (0: h264 64×48, 25 fps (default); 1: h264 128×96, 25 fps)"
    )
    one = write_streams(tmp_path / "one.mp4", [Video(60)])
    with pytest.raises(StreamcamError, match=r"there is one \(0: h264 64×48, 25 fps"):
        open_source(str(one), video_stream=1)


@pytest.mark.parametrize("name", ["song.mp3", "song.mp4", "song.flac"])
def test_a_song_with_a_cover_is_no_video_and_says_so(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    codec = {".mp3": "mp3", ".mp4": "aac", ".flac": "flac"}[path.suffix]
    write_streams(path, [cover()], [Tone(codec=codec)])
    with pytest.raises(StreamcamError, match=r"no video stream in .*: it holds only a cover picture"):
        open_source(str(path))


def test_sound_is_the_default_one_and_no_commentary(tmp_path: Path) -> None:
    tones = [
        Tone("stereo", disposition=Disposition.comment | DEFAULT),
        Tone("mono", language="deu"),
        Tone("mono", disposition=DEFAULT, language="eng"),
        Tone("stereo", disposition=Disposition.visual_impaired),
    ]
    path = write_streams(tmp_path / "film.mkv", [Video(60)], tones)
    with av.open(str(path)) as container:
        video = select_video_stream(container, "film")
        assert _at(select_audio_stream(container, "film", video)) == 3
        assert _at(select_audio_stream(container, "film", video, 1)) == 2
        with pytest.raises(StreamcamError, match=r"no sound stream 4 in film: there are 4 \(0: aac, 2 channels .*deu"):
            select_audio_stream(container, "film", video, 4)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4"])
def test_of_sounds_that_are_marked_alike_the_one_with_most_channels_is_taken(suffix: str, tmp_path: Path) -> None:
    marked = Disposition(0) if suffix == "ts" else DEFAULT
    tones = [Tone("mono", disposition=marked), Tone("5.1", disposition=marked), Tone("stereo", disposition=marked)]
    path = write_streams(tmp_path / f"film.{suffix}", [Video(60)], tones)
    with av.open(str(path)) as container:
        assert _at(select_audio_stream(container, "film", container.streams.video[0])) == 2


def test_sound_is_that_of_the_videos_own_programme(tmp_path: Path) -> None:
    programmes = [([Video(60)], [Tone("5.1")]), ([Video(120, 128, 96)], [Tone("mono")])]
    path = two_programmes(tmp_path / "television.ts", programmes)
    assert greys(path) == {120}
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 2
        chosen = select_audio_stream(container, "television", select_video_stream(container, "television"))
        assert chosen is not None
        assert chosen.codec_context.channels == 1


def _at(stream: av.AudioStream | None) -> int:
    assert stream is not None
    return stream.index


def test_sound_that_is_not_there_cannot_be_chosen(tmp_path: Path) -> None:
    path = write_streams(tmp_path / "mute.mp4", [Video(60)])
    assert Sound.of(str(path)) is None
    with pytest.raises(StreamcamError, match=r"no sound in .*: leave out --sound-stream"):
        Sound.of(str(path), number=0)


@pytest.mark.parametrize("marked", [DEFAULT, Disposition(0)])
def test_a_picture_beside_the_video_is_not_the_video(tmp_path: Path, marked: Disposition) -> None:
    """Matroska says of a single one, as ffmpeg writes it, that it lasts for three."""
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        cover, video = container.add_stream("ffv1", rate=25), container.add_stream("libx264", rate=25)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuv420p"
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        cover.disposition = video.disposition = marked
        for i in range(60):
            if i < 3:
                large = np.full((480, 640, 3), 200, np.uint8)
                container.mux(cover.encode(av.VideoFrame.from_ndarray(large)))
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * i, np.uint8))))
        container.mux([*cover.encode(None), *video.encode(None)])
    with closing(open_source(str(path), paced=False)) as source:
        assert [frame.pixels.shape[:2] for frame in source.frames(Event())] == [(48, 64)] * 60
