#!/usr/bin/env bash
# vidgear 0.3.6 (starlette 1.10.0, uvicorn 0.54.0)
# Expected: WebGear, "a video streaming API", shows each browser the whole video.
# Seen: all its viewers read from one source, and each picture goes to whoever asks first. Of a film of 90 numbered
# pictures, one viewer gets all; two viewers get 90 together, each about half, and no picture comes to both. So a
# tenth viewer makes a camera of 30 pictures a second one of 3 for everybody. Way round it: a generator of one's own
# that keeps the newest picture, and gives that to each viewer.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check vidgear==0.3.6 starlette==1.10.0 uvicorn==0.54.0 \
    jinja2==3.1.6 simplejpeg==1.9.0 numpy==2.4.6 opencv-python-headless==5.0.0.93
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import socket
import sys
import threading
import time
import urllib.request

import cv2
import numpy as np
import uvicorn
from vidgear.gears.asyncio import WebGear

PICTURES, HEIGHT, WIDTH, BITS = 90, 144, 256, 8

film = cv2.VideoWriter("numbered.avi", cv2.VideoWriter_fourcc(*"MJPG"), 30, (WIDTH, HEIGHT))
for number in range(PICTURES):  # each bit of its number is a black or white stripe
    stripes = [255 * (number >> bit & 1) for bit in range(BITS)]
    row = np.repeat(np.array(stripes, np.uint8), WIDTH // BITS)
    film.write(np.repeat(np.tile(row, (HEIGHT, 1))[:, :, None], 3, axis=2))
film.release()


def number_in(jpeg):
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    row = grey[grey.shape[0] // 2]
    return sum(int(row[int((bit + 0.5) * len(row) / BITS)] > 127) << bit for bit in range(BITS))


def watch(port, seen):
    data = b""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/video", timeout=3) as answer:
            while part := answer.read1(65536):
                data += part
    except OSError:
        pass  # the film is over
    for piece in data.split(b"\xff\xd8")[1:]:
        jpeg, end, _ = piece.partition(b"\xff\xd9")
        if end:
            seen.append(number_in(b"\xff\xd8" + jpeg + end))


def shown_to(viewers):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    web = WebGear(source="numbered.avi", logging=False, skip_generate_webdata=True)
    server = uvicorn.Server(uvicorn.Config(web(), host="127.0.0.1", port=port, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    seen = [[] for _ in range(viewers)]
    threads = [threading.Thread(target=watch, args=(port, one)) for one in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.should_exit = True
    return [set(one) for one in seen]


(alone,) = shown_to(1)
one, other = shown_to(2)
print("one viewer:  ", len(alone), "different pictures of", PICTURES)
print("two viewers: ", len(one), "and", len(other), "- in common:", len(one & other))
sys.exit(not (len(alone) > 85 and len(one | other) > 85 and not one & other and min(len(one), len(other)) > 20))
PYTHON
