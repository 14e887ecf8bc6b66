#!/usr/bin/env bash
# pyzmq 27.3.0, with its own libzmq 4.3.5
# Expected: CONFLATE on a SUB socket, "only the newest message", for who cannot keep up with cameras, is about the
# messages that come in.
# Seen: it is about those that go out, too, and a subscription is one of them. Of three cameras subscribed to before the
# connection is made, only the last is ever heard of; the publisher was never asked for the others. Subscribed to one
# after the other over a connection that stands, it depends on how fast the network is. Without CONFLATE all three are
# heard. Ways round it: subscribe to everything (one empty prefix), or a socket for each camera. That would be needed
# anyhow: the one message that is kept is one of all cameras together.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyzmq==27.3.0
"$work/venv/bin/python" - <<'PYTHON'
import sys
import time

import zmq

CAMERAS = (b"door", b"hall", b"yard")
context = zmq.Context()


def heard(topics, conflate):
    subscriber, publisher = context.socket(zmq.SUB), context.socket(zmq.PUB)
    subscriber.conflate = conflate
    for topic in topics:
        subscriber.subscribe(topic)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    subscriber.connect(f"tcp://127.0.0.1:{port}")
    time.sleep(1)
    came = set()
    for _ in range(3):
        for camera in CAMERAS:  # one by one: each is fetched before the next is sent
            publisher.send(camera)
            if subscriber.poll(200):
                came.add(subscriber.recv())
    subscriber.close(0)
    publisher.close(0)
    return sorted(camera.decode() for camera in came)


plain, conflated, everything = heard(CAMERAS, False), heard(CAMERAS, True), heard([b""], True)
print("three subscriptions:               ", *plain)
print("three subscriptions, CONFLATE:     ", *conflated)
print("one to everything, with CONFLATE:  ", *everything)
print("libzmq", zmq.zmq_version())
context.term()
sys.exit(not (plain == everything == ["door", "hall", "yard"] and conflated == ["yard"]))
PYTHON
