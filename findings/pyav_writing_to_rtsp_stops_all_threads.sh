#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1.2)
# Expected: pushing a stream to an RTSP server waits for the server as reading one does: in the thread that asked.
# Seen: while FFmpeg connects, announces the stream and waits for the answers, PyAV holds Python's global lock. No other
# thread runs: not those that read cameras, nor a web server's loop. With a server that takes 2 s to answer they all
# stand still for 2 s; while the same server is read from, they run. Way round it: push in a process of its own, or
# speak RTSP in Python.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0
"$work/venv/bin/python" - <<'PYTHON'
import subprocess
import sys
import threading
import time

import av

SLOW_SERVER = r"""
import socket, time
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
for _ in range(2):
    client, _ = listener.accept()
    client.recv(4096)
    time.sleep(2)
    client.sendall(b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n")
    client.close()
"""


def read(url):
    av.open(url, options={"rtsp_transport": "tcp"})


def write(url):
    with av.open(url, "w", format="rtsp", options={"rtsp_transport": "tcp"}) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        out.start_encoding()


def longest_standstill(action, url):
    """Run an action, and measure how long another thread does not run meanwhile, in seconds."""
    pauses, over = [], threading.Event()

    def tick():
        last_s = time.monotonic()
        while not over.wait(0.01):
            now_s = time.monotonic()
            pauses.append(now_s - last_s)
            last_s = now_s

    other = threading.Thread(target=tick)
    other.start()
    try:
        action(url)
    except av.HTTPNotFoundError:
        pass  # the server's answer
    over.set()
    other.join()
    return max(pauses)


with subprocess.Popen([sys.executable, "-c", SLOW_SERVER], stdout=subprocess.PIPE, text=True) as server:
    url = f"rtsp://127.0.0.1:{int(server.stdout.readline())}/live"
    reading, writing = longest_standstill(read, url), longest_standstill(write, url)
print(f"PyAV {av.__version__}; the server answers after 2 s. Meanwhile another thread stands still for")
print(f"{reading:.2f} s while the stream is read, {writing:.2f} s while one is written")
sys.exit(not (reading < 0.5 and writing > 1.8))
PYTHON
