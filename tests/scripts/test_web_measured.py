"""`scripts/web`, but for what it measures."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.benchmarks.transport_worker import stamp
from scripts.web.cameras import CUBE, HEIGHT, WIDTH, Heats, encoded, pictures
from scripts.web.client import Received
from scripts.web.peer_clients import age_ms
from scripts.web.size import markdown, sizes
from streamcam.records import Frame, Result
from streamcam.transport.messages import decode, encode_picture, encode_result
from tests.support.messages import STAMP


@pytest.mark.parametrize("quality", [85, 60])
def test_the_age_of_a_picture_is_read_from_it_at_an_eighth_of_its_size(quality: int) -> None:
    image, now_ns = pictures()[3], 1_796_074_883_914_207_946
    stamp(image, now_ns)
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    assert age_ms(jpeg, now_ns + 12_340_000) == pytest.approx(12.34, abs=0.011)


def test_cameras_publish_what_a_subscriber_can_read() -> None:
    frame = Frame(None, 7, 0.5, 1, "cam1")
    picture = decode(encode_picture("frame", Result(frame), encoded(pictures()[0]), STAMP)).result
    assert picture is not None
    assert picture.frame.pixels.shape == (HEIGHT, WIDTH, 3)
    heat = Heats(2).at(7, 0.5)
    result = decode(encode_result(Result(frame, heat), STAMP)).result
    assert result is not None
    assert result.heat is not None
    assert result.heat.cube.shape == CUBE
    assert np.array_equal(result.heat.logits, heat.logits)


def test_what_was_sent_is_known_from_the_numbers_of_what_came() -> None:
    assert Received(first=3, last=12, count=5).sent == 10


def test_sizes_are_told_by_kind_and_those_of_others_apart(tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    for name, size in {"a.js": 5000, "b.js": 3000, "style.css": 100, "vendor/lib.js": 40_000}.items():
        (tmp_path / name).write_bytes(b"x" * size)
    found = sizes(tmp_path)
    assert {kind: own["bytes"] for kind, own in found.items()} == {"js": 8000, "css": 100, "vendor/js": 40_000}
    assert all(own["gzip_bytes"] < 200 for own in found.values())
    script = sum(own["gzip_bytes"] for kind, own in found.items() if kind.endswith("js"))
    assert f"{script / 1000:.1f} kB" in markdown({"kinds": found}).splitlines()[-1]
