#!/usr/bin/env bash
# pillow 13.0.0
# Expected: the one colour that a PNG names as transparent (tRNS) is transparent after `convert("RGBA")`, at any depth.
# Seen: with grey of 1, 8 and 16 bits it is. With grey of 2 and 4 bits, and colour of 16, it stays opaque: the pixels
# have been brought to 8 bits, the value that they are compared with has not. At 4 bits, transparent 15 should be found
# at 255. Where all three of 16 bits are below 256, a near black, another colour vanishes: the one with these values in
# 8 bits.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
"$work/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys
import zlib

from PIL import Image

GREY, RGB = 0, 2


def png(bits, kind, row, transparent):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 8, 1, bits, kind, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"tRNS", transparent) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b""))


def grey(bits):  # 8 pixels of the largest value, which is the transparent one
    return png(bits, GREY, b"\xff" * bits, struct.pack(">H", 2**bits - 1))


colour = struct.pack(">3H", 50000, 20000, 5000)
files = {f"grey of {bits} bits": grey(bits) for bits in (1, 2, 4, 8, 16)}
files["colour of 8 bits"] = png(8, RGB, bytes((200, 80, 20)) * 8, struct.pack(">3H", 200, 80, 20))
files["colour of 16 bits"] = png(16, RGB, colour * 8, colour)
files["another colour of 16 bits"] = png(
    16, RGB, struct.pack(">3H", 200 << 8, 80 << 8, 20 << 8) * 8, struct.pack(">3H", 200, 80, 20)
)
opaque = set()
for name, file in files.items():
    alpha = Image.open(file).convert("RGBA").getpixel((0, 0))[3]
    print(f"{name}: alpha {alpha}")
    if alpha:
        opaque.add(name)
sys.exit(opaque != {"grey of 2 bits", "grey of 4 bits", "colour of 16 bits"})
PYTHON
