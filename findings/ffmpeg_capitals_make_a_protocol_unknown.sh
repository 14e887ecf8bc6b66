#!/usr/bin/env bash
# av 18.1.0 (PyAV, with FFmpeg 8.1.2)
# Expected: RTSP://camera/live is rtsp://camera/live. Schemes of URLs have no case (RFC 3986, 3.1), and the keyboards of
# telephones begin with a capital.
# Seen: "Protocol not found", as if FFmpeg had been built without it. Nobody listens at the address below: a scheme that
# is known is refused by the network.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0
"$work/venv/bin/python" - <<'PYTHON'
import socket
import sys

import av

with socket.socket() as taken:  # bound, but not listening
    taken.bind(("127.0.0.1", 0))
    address = f"://127.0.0.1:{taken.getsockname()[1]}/live"
    same = True
    for scheme in ("rtsp", "RTSP", "Rtsp", "http", "HTTP", "Http"):
        try:
            av.open(scheme + address, timeout=10)
            said = "opened"
        except av.FFmpegError as error:
            said = error.strerror
        print(f"{scheme}: {said}")
        same &= said == ("Connection refused" if scheme.islower() else "Protocol not found")
sys.exit(not same)
PYTHON
