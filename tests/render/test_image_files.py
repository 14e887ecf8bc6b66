"""Stills as people see them: each format and depth against the standard's own values, or a second decoder."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import tifffile

from streamcam.errors import StreamcamError
from streamcam.records import Image
from streamcam.render.image_files import read_mask, read_picture, save_picture

WIDTH, HEIGHT = 80, 60
TURNS: dict[int, Callable[[Image], Image]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}
"""What EXIF 2.32 (tag 0x0112) says is to be done with stored rows for the picture to be upright."""


def colours() -> Image:
    """Soft spots in all colours: no two corners, and no two halves, are alike."""
    rng = np.random.default_rng(0)
    spots = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(spots, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


IMAGE = colours()
GREY = IMAGE[..., 0].copy()
DEEP = GREY.astype(np.uint16) * 257
CLEAR = np.dstack([IMAGE, np.where(np.arange(HEIGHT)[:, None] < 20, 0, 255).repeat(WIDTH, 1).astype(np.uint8)])
"""Nothing is seen of its first 20 rows."""
ON_WHITE = np.where(CLEAR[..., 3:] > 0, IMAGE, 255).astype(np.uint8)


def assert_reads(path: Path, expected: np.ndarray, *, within: float = 1) -> None:
    """Within so many of 255, as rounding and lossy coding may differ."""
    expected = np.dstack([expected] * 3) if expected.ndim == 2 else expected
    read = read_picture(path)
    assert (read.shape, read.dtype) == (expected.shape, np.dtype(np.uint8))
    assert np.abs(read.astype(float) - expected).max() <= within


def saved(path: Path, image: np.ndarray, **options: Any) -> Path:
    PIL.Image.fromarray(image).save(path, **options)
    return path


def png(path: Path, depth: int, kind: int, rows: Sequence[bytes], width: int, *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG by the letter of its specification, which no writer here can make in all depths."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, len(rows), depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


def packed(values: np.ndarray, depth: int) -> bytes:
    """Values of so many bits, the first in the highest."""
    bits = (values[:, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


# Ordinary files, against OpenCV, which is right about these.


@pytest.mark.parametrize(
    ("name", "options", "within"),
    [
        ("x.jpg", {"quality": 95}, 3),
        ("x.jpg", {"quality": 95, "progressive": True}, 3),
        ("x.jpg", {"quality": 95, "subsampling": 0}, 3),
        ("x.png", {}, 0),
        ("x.bmp", {}, 0),
        ("x.webp", {"lossless": True}, 0),
        ("x.webp", {"quality": 80}, 3),
        ("x.tif", {}, 0),
        ("x.tif", {"compression": "tiff_lzw"}, 0),
        ("x.tif", {"compression": "tiff_adobe_deflate"}, 0),
        ("x.tif", {"compression": "packbits"}, 0),
        ("x.ppm", {}, 0),
        ("x.jp2", {}, 0),
    ],
)
@pytest.mark.parametrize("image", [IMAGE, GREY], ids=["colour", "grey"])
def test_an_ordinary_file_is_what_opencv_sees(
    tmp_path: Path, name: str, options: dict[str, Any], within: float, image: np.ndarray
) -> None:
    path = saved(tmp_path / name, image, **options)
    second = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert_reads(path, np.asarray(second), within=within)


def test_cmyk_as_photoshop_stores_it_is_what_opencv_sees(tmp_path: Path) -> None:
    """Adobe's JPEGs hold inverted inks; Pillow writes them so, too."""
    path = tmp_path / "x.jpg"
    PIL.Image.fromarray(IMAGE).convert("CMYK").save(path, quality=100)
    assert_reads(path, np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)), within=3)
    assert_reads(path, IMAGE, within=6)
    PIL.Image.fromarray(IMAGE).convert("CMYK").save(tmp_path / "x.tif")
    assert_reads(tmp_path / "x.tif", IMAGE)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.jpg", {"quality": 100, "subsampling": 0}),
        ("x.png", {}),
        ("x.webp", {"lossless": True}),
        ("x.avif", {"quality": 100, "subsampling": "4:4:4"}),
        ("x.tif", {}),
    ],
)
def test_every_orientation_is_upright(tmp_path: Path, name: str, options: dict[str, Any], turn: int) -> None:
    """AVIF has it as irot and imir, which MIAF makes binding, the others as EXIF."""
    exif = PIL.Image.Exif()
    exif[0x0112] = turn
    assert_reads(saved(tmp_path / name, IMAGE, exif=exif, **options), TURNS[turn](IMAGE), within=6)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0nonsense",
        b"Exif\0\0" + struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x0112, 2, 4, 0x41414141),
        b"Exif\0\0" + struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x0112, 3, 1, 77),
    ],
)
def test_a_broken_exif_leaves_the_picture_as_it_is_stored(tmp_path: Path, exif: bytes) -> None:
    assert_reads(saved(tmp_path / "x.jpg", IMAGE, exif=exif, quality=100, subsampling=0), IMAGE, within=6)


# Transparency.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.png", {}),
        ("x.webp", {"lossless": True}),
        ("x.avif", {"quality": 100, "subsampling": "4:4:4"}),
        ("x.tif", {}),
        ("x.jp2", {}),
    ],
)
def test_what_is_transparent_lies_on_white_in_the_right_colours(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    assert_reads(saved(tmp_path / name, CLEAR, **options), ON_WHITE, within=5)


def test_the_colours_of_avif_are_those_that_ffmpeg_sees(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.avif", CLEAR, quality=100, subsampling="4:4:4")
    with av.open(str(path)) as container:  # its first stream holds the colours, its second the transparency
        second = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(read_picture(path)[20:].astype(int) - second[20:]).max() <= 5


def logo(value: int) -> np.ndarray:
    image = np.full((20, 20, 4), value, np.uint8)
    image[..., 3] = 0
    image[5:15, 5:15, 3] = 255
    return image


@pytest.mark.parametrize("name", ["x.png", "x.webp", "x.tif", "x.gif", "x.ico", "x.jp2", "x.avif"])
@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0)], ids=["black", "white"])
def test_a_logo_on_nothing_is_seen(tmp_path: Path, name: str, ink: int, paper: int) -> None:
    by_kind: dict[str, dict[str, Any]] = {".ico": {"sizes": [(20, 20)]}, ".webp": {"lossless": True}}
    options = by_kind.get(name[1:], {})
    expected = np.full((20, 20), paper, np.uint8)
    expected[5:15, 5:15] = ink
    assert_reads(saved(tmp_path / name, logo(ink), **options), expected, within=3)


def test_half_of_a_colour_is_half_of_it_and_half_of_white(tmp_path: Path) -> None:
    half = np.dstack([np.full((8, 8, 3), 100, np.uint8), np.full((8, 8), 51, np.uint8)])  # 51 of 255 is a fifth
    assert_reads(saved(tmp_path / "x.png", half), np.full((8, 8), 100 / 5 + 255 * 4 / 5))
    assert_reads(saved(tmp_path / "nothing.png", np.zeros((8, 8, 4), np.uint8)), np.full((8, 8), 255))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_png_of_any_depth_and_with_a_transparent_value(tmp_path: Path, depth: int) -> None:
    values = np.arange(16) % 2**depth if depth < 16 else np.arange(16) * 4369
    grey = np.tile(values * 255 / (2**depth - 1), (4, 1))
    rows = [packed(values, depth)] * 4
    assert_reads(png(tmp_path / "x.png", depth, 0, rows, 16), grey)
    keyed = np.where(values == values[1], 255, grey)
    assert_reads(png(tmp_path / "k.png", depth, 0, rows, 16, (b"tRNS", struct.pack(">H", values[1]))), keyed)


def test_deep_png_in_colour_and_with_transparency(tmp_path: Path) -> None:
    colours = np.arange(48).reshape(16, 3) * 1365
    rows = [colours.astype(">u2").tobytes()] * 4
    expected = np.tile(colours / 257, (4, 1, 1))
    assert_reads(png(tmp_path / "x.png", 16, 2, rows, 16), expected)
    expected[:, 3] = 255
    assert_reads(png(tmp_path / "k.png", 16, 2, rows, 16, (b"tRNS", struct.pack(">HHH", *colours[3]))), expected)
    alpha = np.linspace(0, 65535, 16).round().astype(int)
    rows = [np.column_stack([colours, alpha]).astype(">u2").tobytes()] * 4
    seen = colours / 257 * (alpha / 65535)[:, None] + 255 * (1 - alpha / 65535)[:, None]
    assert_reads(png(tmp_path / "a.png", 16, 6, rows, 16), np.tile(seen, (4, 1, 1)))
    rows = [np.column_stack([colours[:, 0], alpha]).astype(">u2").tobytes()] * 4
    assert_reads(png(tmp_path / "la.png", 16, 4, rows, 16), np.tile(seen[:, 0], (4, 1)))


@pytest.mark.parametrize("depth", [4, 8])
def test_a_palette_and_its_transparency(tmp_path: Path, depth: int) -> None:
    palette = np.random.default_rng(1).integers(0, 200, (16, 3), dtype=np.uint8)
    rows = [packed(np.arange(16), depth)] * 4
    table = (b"PLTE", palette.tobytes())
    assert_reads(png(tmp_path / "x.png", depth, 3, rows, 16, table), np.tile(palette, (4, 1, 1)), within=0)
    seen = palette.astype(float)
    seen[0], seen[1] = 255, seen[1] * 128 / 255 + 127
    clear = png(tmp_path / "k.png", depth, 3, rows, 16, table, (b"tRNS", b"\0\x80"))
    assert_reads(clear, np.tile(seen, (4, 1, 1)))


# Depth.


@pytest.mark.parametrize("white", [1, 2, 100, 255, 256, 1000, 4095, 65535])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
def test_a_netpbm_file_is_scaled_by_its_own_white(tmp_path: Path, kind: str, white: int) -> None:
    """Netpbm's own manuals: maxval is white; one byte a value below 256, else two, the higher first."""
    values = np.arange(16) * white // 15
    values = np.stack([values, values[::-1], np.full(16, white)], 1) if kind in ("P3", "P6") else values
    text = " ".join(map(str, values.ravel())) + "\n"
    stored = text.encode() if kind in ("P2", "P3") else values.astype(">u2" if white > 255 else "u1").tobytes()
    path = tmp_path / "x.pnm"
    path.write_bytes(f"{kind}\n# made here\n16 2\n{white}\n".encode() + stored * 2)
    assert_reads(path, np.tile(values / white * 255, (2, 1, 1) if values.ndim == 2 else (2, 1)))


@pytest.mark.parametrize("content", [b"P4 16 2\n" + b"\xf0\x0f" * 2, b"P1 16 2\n" + b"1111000000001111\n" * 2])
def test_in_a_bitmap_one_is_black(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pbm").write_bytes(content)
    assert_reads(tmp_path / "x.pbm", np.tile([0] * 4 + [255] * 8 + [0] * 4, (2, 1)), within=0)


@pytest.mark.parametrize(
    ("stored", "options", "expected"),
    [
        (DEEP, {"photometric": "minisblack"}, GREY),
        (DEEP, {"photometric": "minisblack", "byteorder": ">"}, GREY),
        (DEEP, {"photometric": "minisblack", "compression": "zlib", "predictor": True}, GREY),
        (DEEP, {"photometric": "miniswhite"}, 255 - GREY),
        (GREY, {"photometric": "miniswhite"}, 255 - GREY),
        (GREY.astype(np.uint32) * 0x1010101, {"photometric": "minisblack"}, GREY),
        ((GREY / 255).astype(np.float32), {"photometric": "minisblack"}, GREY),
        (np.stack([GREY, 255 - GREY]), {"photometric": "minisblack"}, GREY),
        (IMAGE * np.uint16(257), {"photometric": "rgb"}, IMAGE),
        ((IMAGE * np.uint16(257)).transpose(2, 0, 1), {"photometric": "rgb", "compression": "zlib"}, IMAGE),
        (IMAGE.transpose(2, 0, 1), {"photometric": "rgb", "planarconfig": "separate"}, IMAGE),
        (IMAGE, {"photometric": "rgb", "tile": (16, 16)}, IMAGE),
        (IMAGE, {"photometric": "rgb", "bigtiff": True}, IMAGE),
        (CLEAR * np.uint16(257), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, ON_WHITE),
        (np.full((8, 8, 3), (138, 81, 70), np.uint8), {"photometric": "cielab"}, np.full((8, 8, 3), (255, 0, 0))),
    ],
)
def test_a_scientists_tiff_is_what_was_put_into_it(
    tmp_path: Path, stored: np.ndarray, options: dict[str, Any], expected: np.ndarray
) -> None:
    """By tifffile, another writer. CIELAB (54.3, 80.8, 69.9) is the red of sRGB, adapted to D50; stored in whole."""
    tifffile.imwrite(tmp_path / "x.tif", np.ascontiguousarray(stored), **options)
    assert_reads(tmp_path / "x.tif", expected, within=1 if options["photometric"] != "cielab" else 5)


def test_deep_jpeg_2000_is_scaled(tmp_path: Path) -> None:
    assert_reads(saved(tmp_path / "x.jp2", DEEP), GREY)


@pytest.mark.parametrize(
    ("stored", "options", "words"),
    [
        (GREY.astype(np.float32), {"photometric": "minisblack"}, "not all between 0 and 1"),
        (np.full((8, 8), np.nan, np.float32), {"photometric": "minisblack"}, "not all between 0 and 1"),
        (GREY.astype(np.int16), {"photometric": "minisblack"}, "signed"),
        ((GREY // 2).astype(np.int8), {"photometric": "minisblack"}, "signed"),
        (GREY, {"photometric": "minisblack", "subfiletype": 1}, "thumbnail"),
        ((IMAGE * np.uint16(257)).transpose(2, 0, 1), {"photometric": "rgb"}, "planes of 16 bits"),
        ((IMAGE / 255).astype(np.float32), {"photometric": "rgb"}, "not a picture that can be read"),
    ],
)
def test_values_that_could_only_be_guessed_at_are_refused(
    tmp_path: Path, stored: np.ndarray, options: dict[str, Any], words: str
) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.ascontiguousarray(stored), **options)
    with pytest.raises(StreamcamError, match=rf"cannot read .*x\.tif: .*{words}"):
        read_picture(tmp_path / "x.tif")


# Colour profiles.


def profile_with_red_and_blue_swapped() -> bytes:
    srgb = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"----", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"----", b"bXYZ", 1)


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.webp", "x.jpg"])
def test_a_colour_profile_is_applied(tmp_path: Path, name: str) -> None:
    """A profile whose red primary is sRGB's blue says which colours these are: sRGB's with red and blue swapped."""
    by_kind: dict[str, dict[str, Any]] = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}
    options = by_kind.get(name[1:], {})
    profile = profile_with_red_and_blue_swapped()
    path = saved(tmp_path / name, IMAGE, icc_profile=profile, **options)
    assert_reads(path, IMAGE[..., ::-1], within=6 if name == "x.jpg" else 1)


def test_a_profile_goes_with_transparency_and_turns(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "x.png", CLEAR, icc_profile=profile_with_red_and_blue_swapped(), exif=exif)
    assert_reads(path, np.rot90(ON_WHITE[..., ::-1], -1))


@pytest.mark.parametrize(
    "profile",
    [
        b"nonsense",
        PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes(),
        PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("LAB")).tobytes(),
    ],
    ids=["broken", "srgb", "of other colours"],
)
def test_a_profile_that_says_nothing_changes_nothing(tmp_path: Path, profile: bytes) -> None:
    assert_reads(saved(tmp_path / "x.png", IMAGE, icc_profile=profile), IMAGE, within=0)
    assert_reads(saved(tmp_path / "g.png", GREY, icc_profile=profile), GREY, within=0)


# Several pictures in a file.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.webp", {"lossless": True}),
        ("x.png", {}),
        ("x.avif", {"quality": 100, "subsampling": "4:4:4"}),
        ("x.tif", {}),
        ("x.gif", {}),
    ],
)
def test_the_first_of_several_pictures(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    flat = [np.full((16, 16, 3), colour, np.uint8) for colour in ((200, 40, 40), (40, 200, 40))]
    others = [PIL.Image.fromarray(flat[1])]
    path = saved(tmp_path / name, flat[0], save_all=True, append_images=others, **options)
    assert_reads(path, flat[0], within=4)


def test_around_a_gifs_first_picture_is_nothing(tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(np.full((4, 4), 1, np.uint8))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    stream = io.BytesIO()
    picture.save(stream, "GIF")
    content = bytearray(stream.getvalue())
    content[6:10] = struct.pack("<HH", 12, 10)  # the canvas
    at = content.rindex(b",\0\0\0\0\x04\0\x04\0")
    content[at + 1 : at + 5] = struct.pack("<HH", 3, 2)
    (tmp_path / "x.gif").write_bytes(content)
    expected = np.full((10, 12, 3), 255, np.uint8)
    expected[2:6, 3:7] = 0, 0, 255
    assert_reads(tmp_path / "x.gif", expected, within=0)


# What is refused.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.jpg", {}),
        ("x.jpg", {"progressive": True}),
        ("x.png", {}),
        ("x.webp", {}),
        ("x.avif", {}),
        ("x.bmp", {}),
        ("x.gif", {}),
        ("x.tif", {}),
        ("x.tif", {"compression": "tiff_adobe_deflate"}),
        ("x.ppm", {}),
        ("x.jp2", {}),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_is_cut_off_is_refused_and_not_half_grey(
    tmp_path: Path, name: str, options: dict[str, Any], share: float
) -> None:
    path = saved(tmp_path / name, IMAGE, **options)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(StreamcamError, match="cannot read"):
        read_picture(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n broken", "not a picture that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture that can be read"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "HEIC has no decoder here; save it as JPEG"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(100), "HEIC has no decoder here; save it as JPEG"),
    ],
)
def test_what_is_no_picture_says_so(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(StreamcamError, match=rf"cannot read .*x\.png: .*{words}"):
        read_picture(tmp_path / "x.png")


def test_a_picture_that_is_not_there_or_is_a_folder_says_so(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "no.png", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(StreamcamError, match=words):
            read_picture(path)


# Masks, and what is written.


@pytest.mark.parametrize(
    ("mode", "palette", "expected"),
    [
        ("P", [0, 0, 0, 128, 0, 0, 0, 128, 0], [0, 1, 2]),  # as DAVIS and PASCAL VOC store them
        ("P", [0, 0, 0, 255, 255, 255, 7, 7, 7], [0, 255, 7]),
        ("L", None, [0, 1, 2]),
    ],
)
def test_a_mask_is_its_values(tmp_path: Path, mode: str, palette: list[int] | None, expected: list[int]) -> None:
    picture = PIL.Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    if palette is not None:
        picture.putpalette(palette)
    assert picture.mode == mode
    picture.save(tmp_path / "x.png")
    assert read_mask(tmp_path / "x.png").tolist() == [expected]


def test_masks_of_other_kinds(tmp_path: Path) -> None:
    assert read_mask(saved(tmp_path / "deep.png", np.array([[0, 7]], np.uint16))).tolist() == [[0, 7]]
    assert read_mask(saved(tmp_path / "bits.png", np.array([[False, True]]))).tolist() == [[0, 1]]
    assert read_mask(saved(tmp_path / "rgb.png", np.array([[[0, 0, 0], [0, 0, 1]]], np.uint8))).tolist() == [[0, 1]]
    clear = np.array([[[255, 255, 255, 0], [255, 255, 255, 255]]], np.uint8)
    assert read_mask(saved(tmp_path / "clear.png", clear)).tolist() == [[0, 255]]
    with pytest.raises(StreamcamError, match="expected values 0 to 255, got 0 to 256"):
        read_mask(saved(tmp_path / "large.png", np.array([[0, 256]], np.uint16)))
    (tmp_path / "no.png").write_bytes(b"no")
    with pytest.raises(StreamcamError, match="not a picture that can be read"):
        read_mask(tmp_path / "no.png")


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save_picture(tmp_path / "x.png", IMAGE)
    assert_reads(tmp_path / "x.png", IMAGE, within=0)
    save_picture(tmp_path / "x.jpg", IMAGE)
    assert np.abs(read_picture(tmp_path / "x.jpg").astype(int) - IMAGE).mean() < 4
