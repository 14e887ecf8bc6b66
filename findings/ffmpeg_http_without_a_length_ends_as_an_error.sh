#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: an HTTP answer without Content-Length lasts until the server closes the connection, as HTTP has always had
# it. Small servers and cameras stream so. The end is an end: all pictures, then no more.
# Seen: FFmpeg calls it "Input/output error" (EIO), even where the server has announced it by "Connection: close". Who
# takes errors for errors loses pictures that came whole as well: those that the decoder still held for reordering, here
# 2 of 50. What was cut off cannot be told from what ended. av 17.1.0 and 19.0.2 do the same; 19.0.2 (FFmpeg 9.0.2) even
# where chunks were sent and the last one, which says that it is the last, has come.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import http.server
import io
import sys
import threading

import av
import numpy as np

FRAMES = 50
file = io.BytesIO()
with av.open(file, "w", format="mpegts") as container:
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
    for number in range(FRAMES):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((120, 160, 3), number, np.uint8))))
    container.mux(stream.encode())
film = file.getvalue()


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.protocol_version = "HTTP/1.1"
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        if self.path == "/length":
            self.send_header("Content-Length", str(len(film)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(film)

    def log_message(self, *_):
        pass


def read(url):
    count = 0
    try:
        with av.open(url, timeout=10) as container:
            for _ in container.decode(video=0):
                count += 1
    except OSError as error:
        return count, error.strerror
    return count, "the end"


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
with_length = read(f"http://127.0.0.1:{server.server_port}/length")
without = read(f"http://127.0.0.1:{server.server_port}/none")
server.shutdown()
print("with Content-Length:   ", *with_length)
print("without Content-Length:", *without)
sys.exit(not (with_length == (FRAMES, "the end") and without == (FRAMES - 2, "Input/output error")))
PYTHON
