from pathlib import Path

import numpy as np
import pytest

from streamcam.events.recording.clip import ClipWriter
from streamcam.records import Frame
from streamcam.sources.frame_encoder import FrameEncoder
from tests.sources.test_packet_ring import read


def frame(index: int, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], *, fps: float = 10) -> Frame:
    return Frame(image, index, index / fps, 0, "cam")


def encoded(frames: list[Frame], path: Path) -> list[Frame]:
    encoder = FrameEncoder(frames[0])
    writer = ClipWriter(path, encoder.streams)
    for each in frames:
        for packet in encoder.encode(each):
            writer.write(packet)
    writer.close()
    return read(path)[1]


@pytest.mark.parametrize("size", [(720, 1280), (120, 160)])
def test_encoded_pictures_keep_their_colours(size: tuple[int, int], tmp_path: Path) -> None:
    image = np.full((*size, 3), (200, 40, 40), np.uint8)
    image[:, : size[1] // 2] = 30, 90, 220
    again = encoded([frame(i, image) for i in range(3)], tmp_path / "out.mp4")
    for x, colour in ((size[1] // 4, (30, 90, 220)), (3 * size[1] // 4, (200, 40, 40))):
        assert again[1].pixels[size[0] // 2, x].tolist() == pytest.approx(colour, abs=5)


def test_odd_sides_lose_a_line(tmp_path: Path) -> None:
    again = encoded([frame(i, np.zeros((35, 47, 3), np.uint8)) for i in range(3)], tmp_path / "out.mp4")
    assert again[0].pixels.shape == (34, 46, 3)


def test_each_second_begins_with_a_key_frame_and_nothing_is_held_back() -> None:
    image = np.zeros((36, 48, 3), np.uint8)
    encoder = FrameEncoder(frame(0, image))
    packets = [list(encoder.encode(frame(i, image))) for i in range(35)]
    assert {len(each) for each in packets} == {1}
    assert [i for i, (packet,) in enumerate(packets) if packet.is_key] == [0, 10, 20, 30]
    assert [packet.pts_s for (packet,) in packets] == [i / 10 for i in range(35)]
