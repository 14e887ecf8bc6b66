#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: Motion JPEG over HTTP (multipart/x-mixed-replace) of any camera that a browser shows is read.
# Seen: FFmpeg's demuxer compares the type of each part with "image/jpeg", and has no patience: "image/jpg", wrong but
# common, a parameter behind the type, or a part without a type, and the stream is "Invalid data found". It is not by
# principle strict: "IMAGE/JPEG", text before the first boundary and a boundary without its dashes are taken. And a
# server that ends as the standard (RFC 2046) says, with a closing boundary, ends as "Invalid data found"; one that just
# stops ends well.
# av 19.0.2 (FFmpeg 9.0.2) does the same.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 pillow==13.0.0
"$work/venv/bin/python" - <<'PYTHON'
import http.server
import io
import sys
import threading

import av
from PIL import Image

file = io.BytesIO()
Image.new("RGB", (64, 48), "green").save(file, "JPEG")
PICTURE, COUNT = file.getvalue(), 4
USUAL = "--b\r\nContent-Type: image/jpeg\r\n"
WELL, INVALID = "the end", "Invalid data found when processing input"
CASES = {  # what stands before the first boundary, what each part begins with, what the last is followed by, what is seen
    "image/jpeg": ("", USUAL, "", (COUNT, WELL)),
    "image/jpeg, and a closing boundary": ("", USUAL, "--b--\r\n", (COUNT, INVALID)),
    "IMAGE/JPEG": ("", "--b\r\nContent-Type: IMAGE/JPEG\r\n", "", (COUNT, WELL)),
    "text before the first boundary": ("Hello.\r\n", USUAL, "", (COUNT, WELL)),
    "a boundary without dashes": ("", USUAL[2:], "", (COUNT, WELL)),
    "image/jpg": ("", "--b\r\nContent-Type: image/jpg\r\n", "", (0, INVALID)),
    "image/jpeg; charset=utf-8": ("", "--b\r\nContent-Type: image/jpeg; charset=utf-8\r\n", "", (0, INVALID)),
    "no type": ("", "--b\r\n", "", (0, INVALID)),
}
NAMES = list(CASES)


class Camera(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        before, head, after, _ = CASES[NAMES[int(self.path[1:])]]
        part = f"{head}Content-Length: {len(PICTURE)}\r\n\r\n".encode() + PICTURE + b"\r\n"
        body = before.encode() + part * COUNT + after.encode()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def read(url):
    count = 0
    try:
        with av.open(url, timeout=10) as container:
            for _ in container.decode(video=0):
                count += 1
    except av.FFmpegError as error:
        return count, error.strerror
    return count, "the end"


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
threading.Thread(target=server.serve_forever, daemon=True).start()
same = True
for number, name in enumerate(NAMES):
    seen = read(f"http://127.0.0.1:{server.server_port}/{number}")
    print(f"{name}: {seen[0]} pictures, {seen[1]}")
    same &= seen == CASES[name][3]
server.shutdown()
sys.exit(not same)
PYTHON
