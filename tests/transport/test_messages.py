import json
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamcam.records import Frame, Heat, Result
from streamcam.transport import headers, messages
from streamcam.transport.messages import (
    Message,
    decode,
    encode_directory,
    encode_picture,
    encode_result,
    encode_status,
    topic,
)
from streamcam.transport.payloads import MessageError
from tests.support.messages import (
    CAPTURED_NS,
    STAMP,
    a_heat,
    a_message,
    a_picture,
    a_result,
    damaged_bytes,
    replaced_descriptions,
    replaced_fields,
    shuffled_parts,
)


def result_in(message: Message) -> Result:
    assert message.result is not None
    return message.result


def heat_in(message: Message) -> Heat:
    heat = result_in(message).heat
    assert heat is not None
    return heat


def with_header(message: list[bytes], **fields: Any) -> list[bytes]:
    return [message[0], json.dumps(json.loads(message[1]) | fields).encode(), *message[2:]]


def with_part(message: list[bytes], at: int = 0, **fields: Any) -> list[bytes]:
    parts = json.loads(message[1])["parts"]
    parts[at] |= fields
    return with_header(message, parts=parts)


def test_heat_comes_back_to_half_precision_and_logits_exactly() -> None:
    sent, got = a_heat(), heat_in(decode(a_message()))
    np.testing.assert_allclose(got.cube, sent.cube, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(got.common, sent.common, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(got.logits, sent.logits)
    assert {got.cube.dtype, got.common.dtype, got.logits.dtype} == {np.dtype(np.float32)}


def test_what_heat_speaks_of_comes_back() -> None:
    sent, got = a_heat(), heat_in(decode(a_message()))
    np.testing.assert_array_equal(got.classes, sent.classes)
    np.testing.assert_array_equal(got.pts_s, sent.pts_s)
    np.testing.assert_allclose(got.scores, sent.scores, rtol=1e-6)
    assert got.labels == sent.labels
    assert (got.clip_pts_s, got.transform) == (sent.clip_pts_s, sent.transform)
    assert (got.model, got.model_hash, got.lookahead_s) == (sent.model, sent.model_hash, sent.lookahead_s)


def test_the_heat_scale_comes_back_or_stays_unknown() -> None:
    known, unknown = a_heat(), a_heat(scaled=False)
    scale = heat_in(decode(encode_result(a_result(known), STAMP))).scale
    assert scale is not None
    assert known.scale is not None
    np.testing.assert_allclose(scale, known.scale, rtol=1e-6)
    assert heat_in(decode(encode_result(a_result(unknown), STAMP))).scale is None


def test_the_frames_particulars_come_back_with_a_result_and_no_pixels() -> None:
    message = decode(a_message())
    got = result_in(message)
    assert got.frame.image is None
    assert (got.frame.index, got.frame.pts_s, got.frame.session) == (77, 1.5, 2)
    assert (got.frame.captured_ns, got.frame.source) == (CAPTURED_NS, "cam1")
    assert got.timings_ms == {"infer": 12.345, "decode": 0.5}
    assert got.drops == {"window": 3}
    header = message.header
    assert (header.kind, header.publisher, header.seq, header.sent_ns) == ("result", "abc123", 41, STAMP.sent_ns)


@pytest.mark.parametrize("kind", ["frame", "overlay"])
def test_pictures_come_back_close_to_the_original(kind: Any) -> None:
    got = result_in(decode(encode_picture(kind, a_result(), a_picture(), STAMP)))
    assert got.frame.pixels.shape == (24, 32, 3)
    assert np.abs(got.frame.pixels.astype(int) - a_picture()).mean() < 4
    assert got.heat is None


def test_the_hop_comes_back_with_heat_and_with_pictures() -> None:
    result = replace(a_result(), hop_s=0.6, skipped=2)
    for message in (encode_result(result, STAMP), encode_picture("frame", result, a_picture(), STAMP)):
        got = result_in(decode(message))
        assert (got.hop_s, got.skipped) == (0.6, 2)
    first = result_in(decode(encode_result(a_result(), STAMP)))
    assert (first.hop_s, first.skipped) == (None, 0)


def test_a_picture_of_a_frame_without_heat_can_be_sent() -> None:
    result = Result(Frame(a_picture(), 0, 0.0, 0, "cam1"))
    assert result_in(decode(encode_picture("frame", result, a_picture(), STAMP))).frame.index == 0


def test_status_comes_back() -> None:
    data: dict[str, str | int | float | bool | None] = {
        "state": "läuft",
        "fps": 24.5,
        "frames": 3,
        "live": True,
        "note": None,
    }
    message = decode(encode_status("cam1", data, STAMP))
    assert (message.header.kind, message.header.source, message.header.data) == ("status", "cam1", data)
    assert message.result is None


def test_the_directory_comes_back() -> None:
    message = decode(encode_directory(["cam1", "cam10"], STAMP))
    assert (message.header.source, message.header.sources) == (headers.DIRECTORY, ["cam1", "cam10"])
    assert message.result is None


@pytest.mark.parametrize("peak", [1e6, -1e6, 3e38])
def test_heat_beyond_the_range_of_half_precision_survives(peak: float) -> None:
    heat = a_heat()
    heat.cube[0, 0, 0, 0] = peak
    got = heat_in(decode(encode_result(a_result(heat), STAMP)))
    assert got.cube[0, 0, 0, 0] == pytest.approx(peak, rel=1e-3)
    assert np.isfinite(got.cube).all()


def test_heat_that_is_not_contiguous_survives() -> None:
    heat = a_heat()
    flipped = replace(heat, cube=heat.cube[:, :, ::-1], common=heat.common[:, ::-1])
    got = heat_in(decode(encode_result(a_result(flipped), STAMP)))
    np.testing.assert_allclose(got.cube, flipped.cube, rtol=1e-3, atol=1e-6)


def test_the_topic_of_cam1_is_no_prefix_of_that_of_cam10() -> None:
    assert topic("cam1", "result") == b"sc1/cam1/result/"
    assert not topic("cam10", "result").startswith(topic("cam1", "result"))


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ä", "a\n", "x" * 65])
def test_a_source_name_that_cannot_be_part_of_a_topic_is_refused(name: str) -> None:
    with pytest.raises(MessageError, match="source name"):
        topic(name, "result")


def test_header_fields_of_the_future_are_ignored() -> None:
    message = with_part(with_header(a_message(), weather={"rain": [1]}), checksum="00")
    assert heat_in(decode(message)).labels == a_heat().labels


def test_minor_versions_are_accepted_and_major_ones_refused() -> None:
    assert heat_in(decode(with_header(a_message(), protocol="streamcam/1.7"))).model == "tiny"
    for protocol in ("streamcam/2", "streamcam/11", "streamcam", "else/1"):
        with pytest.raises(MessageError, match="streamcam/1"):
            decode(with_header(a_message(), protocol=protocol))


def test_a_header_over_64_kib_is_refused() -> None:
    message = a_message()
    with pytest.raises(MessageError, match="65536"):
        decode([message[0], message[1] + b" " * headers.MAX_HEADER_BYTES, *message[2:]])


def test_too_many_classes_for_a_header_are_refused_when_sending() -> None:
    with pytest.raises(MessageError, match="fewer classes"):
        encode_result(a_result(a_heat(classes=2000)), STAMP)


def test_a_result_without_heat_cannot_be_sent_as_heat() -> None:
    with pytest.raises(ValueError, match="without"):
        encode_result(Result(a_result().frame), STAMP)


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": [3, 2, 7, 7]},
        {"shape": [3, 2, 7, 5]},
        {"shape": [3, -2, -7, 6]},
        {"shape": [3, 2, 7, 6, 1]},
        {"shape": [2**32, 2**32, 2**32, 2**32]},
        {"shape": [0, 2**63, 0, 0]},
        {"dtype": "f4"},
        {"dtype": "O"},
        {"dtype": "f8"},
        {"nbytes": 503},
        {"nbytes": 10**300},
        {"scale": 0},
        {"scale": -1},
        {"scale": 1e-300},
        {"scale": 1e300},
        {"name": "else"},
        {"media": "application/octet-stream"},
        {"media": "image/jpeg"},
    ],
)
def test_a_part_that_is_not_as_described_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        decode(with_part(a_message(), **fields))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_part_that_is_longer_or_shorter_than_described_is_refused(change: int) -> None:
    message = a_message()
    message[2] = message[2][:-1] if change < 0 else message[2] + b"\0"
    with pytest.raises(MessageError, match="bytes"):
        decode(message)


@pytest.mark.parametrize("fields", [{"score": 1e39}, {"score": -0.1}, {"scale": 0}, {"scale": -1}, {"scale": 1e39}])
def test_scores_and_scales_that_cannot_be_are_refused(fields: dict[str, float]) -> None:
    message = a_message()
    heat = json.loads(message[1])["heat"]
    heat["top"][0] |= fields
    with pytest.raises(MessageError):
        decode(with_header(message, heat=heat))


def test_a_topic_of_another_source_than_the_headers_is_refused() -> None:
    with pytest.raises(MessageError, match="disagree"):
        decode([topic("cam2", "result"), *a_message()[1:]])


def test_numbers_beyond_64_bits_are_refused() -> None:
    with pytest.raises(MessageError):
        decode(with_header(a_message(), frame={"index": 0, "pts_s": 0, "captured_ns": 10**400}))


@pytest.mark.parametrize("kind", ["frame", "overlay"])
def test_a_picture_message_without_a_picture_is_refused(kind: Any) -> None:
    message = encode_picture(kind, a_result(), a_picture(), STAMP)
    with pytest.raises(MessageError):
        decode(with_header(message[:2], parts=[]))


def test_a_picture_in_another_format_than_jpeg_is_refused() -> None:
    message = encode_picture("frame", a_result(), a_picture(), STAMP)
    png = cv2.imencode(".png", a_picture())[1].tobytes()
    with pytest.raises(MessageError):
        decode(with_part([*message[:2], png], nbytes=len(png)))


def test_a_jpeg_that_is_larger_than_its_message_says_is_refused_before_it_takes_memory() -> None:
    message = encode_picture("frame", a_result(), a_picture(), STAMP)
    size = message[2].index(b"\xff\xc0") + 5  # the JPEG's own height and width, two bytes each
    bomb = message[2][:size] + bytes([0x10, 0, 0x10, 0]) + message[2][size + 4 :]
    tracemalloc.start()
    with pytest.raises(MessageError):
        decode([*message[:2], bomb])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4_000_000


def test_heat_is_in_single_precision_whatever_type_a_part_has() -> None:
    message = a_message()
    parts = json.loads(message[1])["parts"]
    parts[2] |= {"dtype": "u1", "nbytes": 5, "shape": [5]}
    survives([*with_header(message, parts=parts)[:4], b"\1" * 5])


def test_nothing_is_ever_unpickled() -> None:
    source = Path(messages.__file__).read_text()
    for word in ("import pickle", "from pickle", "allow_pickle", "recv_pyobj", "eval("):
        assert word not in source


MANY = settings(max_examples=1200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def survives(message: list[bytes]) -> None:
    """Decode, or raise MessageError, and nothing else; what is decoded is as the records say."""
    try:
        result = decode(message).result
    except MessageError:
        return
    if result is not None and result.heat is not None:
        heat = result.heat
        assert {heat.cube.dtype, heat.common.dtype, heat.logits.dtype} == {np.dtype(np.float32)}


@MANY
@given(damaged_bytes())
def test_damaged_bytes_never_raise_anything_but_message_error(message: list[bytes]) -> None:
    survives(message)


@MANY
@given(shuffled_parts())
def test_missing_and_shuffled_parts_never_raise_anything_but_message_error(message: list[bytes]) -> None:
    survives(message)


@MANY
@given(replaced_fields())
def test_any_json_in_the_header_never_raises_anything_but_message_error(message: list[bytes]) -> None:
    survives(message)


@MANY
@given(replaced_descriptions())
def test_parts_that_lie_about_themselves_never_raise_anything_but_message_error(message: list[bytes]) -> None:
    survives(message)


@MANY
@given(st.lists(st.binary(max_size=64), max_size=20))
def test_random_messages_never_raise_anything_but_message_error(message: list[bytes]) -> None:
    survives(message)


def test_a_deeply_nested_header_is_refused() -> None:
    for text in (b"[" * 60_000, b'{"parts":' * 6_000):
        with pytest.raises(MessageError):
            decode([a_message()[0], text])


@pytest.mark.parametrize("digits", [19, 20, 400, 5000, 60_000])
@pytest.mark.parametrize("field", ["seq", "index", "captured_ns", "nbytes"])
def test_integers_of_any_length_never_raise_anything_but_message_error(field: str, digits: int) -> None:
    message = a_message()
    message[1] = re.sub(f'"{field}":[0-9]+'.encode(), f'"{field}":'.encode() + b"9" * digits, message[1], count=1)
    survives(message)


def test_heat_of_a_publisher_that_does_not_know_its_lookahead_has_none() -> None:
    topic_, header, *parts = encode_result(a_result(), STAMP)
    older = json.loads(header)
    del older["heat"]["lookahead_s"]
    result = decode([topic_, json.dumps(older).encode(), *parts]).result
    assert result is not None
    assert result.heat is not None
    assert result.heat.lookahead_s == 0
