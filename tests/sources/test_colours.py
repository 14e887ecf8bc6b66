"""Colours of what is read: planes written bit for bit, against the equations of ITU-T H.273 and ITU-R BT.2100."""

import logging
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import av
import av.video.format
import numpy as np
import psutil
import pytest

from streamcam.errors import StreamcamError
from streamcam.gpu.decoder import gpu_image
from streamcam.records import Image
from streamcam.sources.base import open_source
from streamcam.sources.opening import FAILURES
from streamcam.sources.pixels.rgb import RgbConverter
from tests.support.write_planes import write_planes

ROUNDS = 4
"""Grey levels by which FFmpeg's tables are off."""
HD = (1280, 720)
KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)} | {
    9: (0.2627, 0.0593)
}
"""H.273, table 4."""


def read(path: Path) -> list[Image]:
    with closing(open_source(str(path), paced=False)) as source:
        return [frame.pixels for frame in source.frames(Event())]


def colour_of(path: Path) -> list[int]:
    pictures = read(path)
    assert len(pictures) == 2
    assert np.ptp(pictures[0], axis=(0, 1)).max() <= 2  # FFmpeg dithers what had more bits
    return [int(value) for value in pictures[0][0, 0]]


def by_h273(y: float, u: float, v: float, matrix: int, *, full: bool, bits: int = 8) -> list[float]:
    """Equations 20 to 28 and 38 to 43, solved for R, G and B, in units of 0–255."""
    unit = 2.0 ** (bits - 8)
    if full:
        top = 2**bits - 1
        ey, pb, pr = y / top, (u - 128 * unit) / top, (v - 128 * unit) / top
    else:
        ey, pb, pr = (y / unit - 16) / 219, (u / unit - 128) / 224, (v / unit - 128) / 224
    kr, kb = KR_KB[matrix]
    r, b = ey + 2 * (1 - kr) * pr, ey + 2 * (1 - kb) * pb
    return [min(max(255 * e, 0), 255) for e in (r, (ey - kr * r - kb * b) / (1 - kr - kb), b)]


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", sorted(KR_KB))
@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "yuv422p16le"])
def test_colours_are_those_of_the_standard(tmp_path: Path, layout: str, matrix: int, full: bool) -> None:
    bits = int(layout.partition("p")[2].removesuffix("le") or 8)
    values = [v << (bits - 8) for v in (100, 118, 150)]
    path = write_planes(tmp_path / "a.mkv", values, layout=layout, colorspace=matrix, color_range=2 if full else 1)
    assert colour_of(path) == pytest.approx(
        by_h273(values[0], values[1], values[2], matrix, full=full, bits=bits), abs=ROUNDS
    )


@pytest.mark.parametrize(
    ("size", "matrix"),
    [((64, 48), 6), ((720, 576), 6), ((1278, 574), 6), ((1280, 64), 1), ((64, 578), 1), ((720, 1280), 1), (HD, 1)],
)
def test_what_does_not_say_is_taken_by_its_size(tmp_path: Path, size: tuple[int, int], matrix: int) -> None:
    """As mpv and VLC do: BT.709 from 1280 pixels of width or more than 576 of height on."""
    path = write_planes(tmp_path / "a.mkv", (100, 90, 190), size=size)
    assert colour_of(path) == pytest.approx(by_h273(100, 90, 190, matrix, full=False), abs=ROUNDS)


def test_motion_jpeg_is_bt601_of_full_range_at_any_size(tmp_path: Path) -> None:
    """JFIF 1.02 knows no other."""
    path = write_planes(tmp_path / "a.avi", (100, 118, 150), size=HD, layout="yuvj420p", codec="mjpeg")
    assert colour_of(path) == pytest.approx(by_h273(100, 118, 150, 6, full=True), abs=ROUNDS)


@pytest.mark.parametrize(("layout", "white"), [("gray", 235), ("gray10le", 940), ("gray12le", 3760)])
def test_grey_of_limited_range_is_expanded(tmp_path: Path, layout: str, white: int) -> None:
    """H.273, equation 20: 16 is black and 235 is white, of 8 bits; of more they are that many times as large."""
    for share in (0, 0.25, 0.5, 1):
        value = round(white * (16 + 219 * share) / 235)
        path = write_planes(tmp_path / "a.mkv", [value], layout=layout, color_range=1)
        assert colour_of(path) == pytest.approx([255 * share] * 3, abs=1)


@pytest.mark.parametrize(
    ("layout", "white"), [("gray", 255), ("gray10le", 1023), ("gray12le", 4095), ("gray16le", 65535)]
)
@pytest.mark.parametrize("said", [{}, {"color_range": 2}], ids=["untold", "full"])
def test_grey_of_full_range_is_linear(tmp_path: Path, layout: str, white: int, said: dict[str, Any]) -> None:
    for share in (0, 0.25, 0.5, 1):
        path = write_planes(tmp_path / "a.mkv", [round(white * share)], layout=layout, **said)
        assert colour_of(path) == pytest.approx([255 * share] * 3, abs=1)


@pytest.mark.parametrize("layout", ["gray", "gray10le"])
def test_grey_of_hevc_that_does_not_say_is_limited(tmp_path: Path, layout: str) -> None:
    """ITU-T H.265, E.3.1: video_full_range_flag is taken to be 0 where it is absent."""
    path = tmp_path / "a.hevc"
    options = {"x265-params": "lossless=1:log-level=none"}
    write_planes(path, [235 << (2 if "10" in layout else 0)], layout=layout, codec="libx265", options=options)
    assert colour_of(path) == [255, 255, 255]


def test_grey_of_h264_is_expanded(tmp_path: Path) -> None:
    path = write_planes(tmp_path / "a.mp4", [235], layout="gray", codec="libx264", options={"qp": "0"})
    assert colour_of(path) == pytest.approx([255] * 3, abs=1)


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(("layout", "codec"), [("yuv444p", "ffv1"), ("yuv420p", "libx264"), ("yuv444p10le", "ffv1")])
def test_ycgco_is_undone_exactly(tmp_path: Path, layout: str, codec: str, full: bool, caplog: Any) -> None:
    """H.273, equations 44 to 58: Cg and Co of R, G and B that are in their range already."""
    red, green, blue = 200.0, 40.0, 60.0
    r, g, b = (e if full else 16 + e * 219 / 255 for e in (red, green, blue))
    cg, co = 0.5 * g - 0.25 * (r + b), 0.5 * (r - b)
    values = [0.5 * g + 0.25 * (r + b), cg + 128, co + 128]
    unit = 4 if "10" in layout else 1
    planes = [round(v * unit) for v in values]
    options = {"qp": "0"} if codec == "libx264" else {}
    said: dict[str, Any] = {"colorspace": 8, "color_range": 2 if full else 1}
    path = write_planes(tmp_path / "a.mkv", planes, layout=layout, codec=codec, options=options, **said)
    assert colour_of(path) == pytest.approx([red, green, blue], abs=2)
    assert not caplog.records


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_planes_that_are_green_blue_and_red_are_told_by_the_matrix(tmp_path: Path, full: bool) -> None:
    """H.273, matrix 0: Y is G, Cb is B, and Cr is R."""
    red, green, blue = 200, 40, 60
    values = [v if full else round(16 + v * 219 / 255) for v in (green, blue, red)]
    path = write_planes(tmp_path / "a.mkv", values, layout="yuv444p", colorspace=0, color_range=2 if full else 1)
    assert colour_of(path) == pytest.approx([red, green, blue], abs=1)


@pytest.mark.parametrize("codec", ["ffv1", "libx264"])
def test_rgb_of_limited_range_is_expanded(tmp_path: Path, codec: str) -> None:
    """As H.264 and capture cards have it: 16 is black and 235 is white, in each of G, B and R."""
    options = {"qp": "0"} if codec == "libx264" else {}
    layout = "yuv444p" if codec == "libx264" else "gbrp10le"
    said: dict[str, Any] = {"colorspace": 0} if codec == "libx264" else {}
    values = [v if codec == "libx264" else 4 * v for v in (16, 126, 235)]
    path = write_planes(tmp_path / "a.mkv", values, layout=layout, codec=codec, options=options, color_range=1, **said)
    assert colour_of(path) == pytest.approx([255, 0, 128], abs=1)


@pytest.mark.parametrize(
    ("matrix", "primaries", "nearest"),
    [(10, 9, 9), (11, 9, 9), (12, 1, 1), (12, 9, 9), (12, 7, 7), (13, 1, 1), (13, 6, 7), (14, 9, 9), (12, 2, 6)],
)
def test_a_matrix_that_is_not_known_is_taken_for_the_nearest(
    tmp_path: Path, matrix: int, primaries: int, nearest: int, caplog: pytest.LogCaptureFixture
) -> None:
    said: dict[str, Any] = {"colorspace": matrix, "color_range": 1, "color_primaries": primaries, "color_trc": 1}
    path = write_planes(tmp_path / "a.mkv", (100, 90, 190), **said)
    assert colour_of(path) == pytest.approx(by_h273(100, 90, 190, nearest, full=False), abs=ROUNDS)
    told = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    near = f"a: its colours are approximate: matrix {matrix} of ITU-T H.273 is not supported"
    assert told == ([] if matrix == 12 and primaries != 2 else [near])


@pytest.mark.parametrize(("transfer", "primaries"), [(0, 0), (3, 3), (200, 200), (17, 10)])
def test_transfers_and_primaries_that_are_not_known_lose_no_picture(
    tmp_path: Path, transfer: int, primaries: int
) -> None:
    said: dict[str, Any] = {"colorspace": 1, "color_trc": transfer, "color_primaries": primaries}
    path = write_planes(tmp_path / "a.mp4", (100, 90, 190), codec="libx264", options={"qp": "0"}, **said)
    assert colour_of(path) == pytest.approx(by_h273(100, 90, 190, 1, full=False), abs=ROUNDS)


WHITE = 203.0
"""HDR's diffuse white in cd/m², ITU-R BT.2408, which becomes SDR's white."""


def pq(luminance: Any) -> Any:
    """cd/m² → 0–1: ITU-R BT.2100, table 4."""
    y = (np.asarray(luminance) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(luminance: Any) -> Any:
    """cd/m² of grey on a display of 1000 cd/m² → 0–1: ITU-R BT.2100, table 5, with its OOTF of gamma 1.2."""
    scene = (np.asarray(luminance) / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def hdr(path: Path, rgb: Any, transfer: int) -> Path:
    """A file of one colour: R', G' and B', 0–1, of BT.2020's primaries, in 10 bits of limited range."""
    r, g, b = rgb
    y = 0.2627 * r + 0.6780 * g + 0.0593 * b
    values = [64 + 876 * y, 512 + 896 * (b - y) / 1.8814, 512 + 896 * (r - y) / 1.4746]
    said: dict[str, Any] = {"colorspace": 9, "color_range": 1, "color_trc": transfer, "color_primaries": 9}
    return write_planes(path, [round(v) for v in values], layout="yuv420p10le", **said)


@pytest.mark.parametrize(("transfer", "to_code"), [(16, pq), (18, hlg)], ids=["pq", "hlg"])
def test_hdr_is_tone_mapped(tmp_path: Path, transfer: int, to_code: Any) -> None:
    """Below the knee of ITU-R BT.2390's curve (88 cd/m²) light stays as it is; above, it rises to white at 1000."""
    shown = {}
    for luminance in (0.0, 1, 5, 20, 50, 80, 203, 400, 1000):
        (red, green, blue) = colour_of(hdr(tmp_path / "a.mkv", [to_code(luminance)] * 3, transfer))
        assert max(red, green, blue) - min(red, green, blue) <= 2
        shown[luminance] = green
    for luminance in (0.0, 1, 5, 20, 50, 80):
        assert shown[luminance] == pytest.approx(255 * (luminance / WHITE) ** (1 / 2.4), abs=4)
    # BT.2390 by hand: 203 of 1000 cd/m² is PQ 0.5807 of 0.7518, or 0.7724 of it. The knee is at 0.6586, T is a third,
    # and the spline gives 0.7387, which is PQ 0.5554, or 159 cd/m².
    assert shown[203] == pytest.approx(255 * (159 / WHITE) ** (1 / 2.4), abs=4)
    assert shown[203] < shown[400] < shown[1000]
    assert shown[1000] >= 253


def test_hdr_has_the_colours_of_sdr(tmp_path: Path) -> None:
    """A colour of BT.709's primaries, brought to BT.2020's by ITU-R BT.2087, comes back."""
    linear = np.array([0.30, 0.02, 0.05])
    to_bt2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    path = hdr(tmp_path / "a.mkv", pq(WHITE * (to_bt2020 @ linear)), 16)
    assert colour_of(path) == pytest.approx(255 * linear ** (1 / 2.4), abs=6)


@pytest.mark.parametrize("transfer", [16, 18])
def test_a_gpu_tone_maps_as_the_host_does(transfer: int) -> None:
    frame = av.VideoFrame(64, 48, "p010le")
    for plane, (low, high) in zip(frame.planes, ((64, 940), (480, 540)), strict=True):
        values = np.linspace(low, high, plane.buffer_size // 2).round().astype("<u2") << 6
        plane.update(values.tobytes())
    frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = 9, 1, transfer, 9
    there, host = gpu_image(frame).fetch(), RgbConverter("a").image(frame)
    assert np.abs(there.astype(int) - host).mean() < 2


@pytest.mark.parametrize("said", [3, 15, 16, 18, 200])
@pytest.mark.parametrize("layout", ["yuv420p", "nv12", "yuv444p", "p010le", "rgb24", "gray", "pal8"])
def test_no_number_that_a_picture_carries_loses_it(layout: str, said: int) -> None:
    frame = av.VideoFrame(64, 48, layout)
    frame.colorspace = frame.color_range = frame.color_trc = frame.color_primaries = said
    assert RgbConverter("a").image(frame).shape == (48, 64, 3)


def test_every_pixel_format_that_swscale_reads_gives_a_picture() -> None:
    """What it does not read is told once, in a line that names the format; none ends the process."""
    fails = set()
    for layout in sorted(vars(av.video.format)["names"]):
        try:
            picture = RgbConverter("a").image(av.VideoFrame(64, 48, layout))
        except FAILURES:  # surfaces of GPUs cannot even be made
            fails.add(layout)
        else:
            assert picture.shape == (48, 64, 3)
    common = {"yuv420p", "yuvj422p", "yuva444p12le", "nv12", "p010le", "p016le", "yuyv422", "uyvy422", "rgb24", "bgra"}
    rare = {
        "gbrp",
        "gbrap10le",
        "pal8",
        "gray16be",
        "ya8",
        "ya16le",
        "monob",
        "monow",
        "bayer_rggb8",
        "xyz12le",
        "y210le",
    }
    assert not fails & (common | rare)


def test_a_format_that_is_not_converted_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    converter = RgbConverter("cam")
    for _ in range(3):
        with pytest.raises(FAILURES):
            converter.image(av.VideoFrame(64, 48, "yaf32le"))
    assert [r.message for r in caplog.records] == ["cam: its pictures cannot be shown: FFmpeg does not convert yaf32le"]


@pytest.mark.parametrize("layout", ["rgba", "yuva420p", "ya8", "gbrap"])
def test_what_is_transparent_is_shown_on_white(layout: str) -> None:
    """Black of which half can be seen is grey on white; black that cannot be seen at all is white."""
    for alpha, expected in ((0, 255), (128, 127), (255, 0)):
        rgba = np.zeros((48, 64, 4), np.uint8)
        rgba[..., 3] = alpha
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=layout)
        assert RgbConverter("a").image(frame)[20, 20].tolist() == pytest.approx([expected] * 3, abs=2)


def test_a_picture_with_a_palette_has_its_colours() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), (200, 40, 40), np.uint8)).reformat(format="rgb8")
    palette = frame.reformat(format="rgb24").to_ndarray()[0, 0]
    assert RgbConverter("a").image(frame)[0, 0].tolist() == palette.tolist()


def test_a_source_has_one_converter_on_the_thread_that_reads(tmp_path: Path) -> None:
    """FFmpeg's would start a thread for each core, for each picture, and keep them as long as the picture lives."""
    path = write_planes(tmp_path / "a.mkv", (100, 90, 190), size=HD)
    with av.open(str(path)) as container:
        decoded, converter = list(container.decode(video=0)), RgbConverter("a")
        converter.image(decoded[0])
        before = psutil.Process().num_threads()
        pictures = [converter.image(frame) for frame in decoded * 10]
        assert psutil.Process().num_threads() <= before
    assert len({picture.ctypes.data for picture in pictures}) == 20


def test_a_file_of_such_a_format_is_not_called_damaged(tmp_path: Path) -> None:
    path = write_planes(tmp_path / "a.nut", [3], layout="rgb4", codec="rawvideo")
    with pytest.raises(StreamcamError, match=r"^cannot show .*a\.nut: FFmpeg does not convert rgb4$"):
        read(path)
