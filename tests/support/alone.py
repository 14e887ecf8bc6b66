"""Runs the pipeline where every packet is seen, whoever sends it, and prints where they went.

    unshare --user --map-root-user --net python alone.py [COMMAND…]

In this network namespace of its own, all of the internet is this machine. It prints a line of JSON: the protocol,
address and port of whoever was asked for something; without COMMAND, by a few calls of our own. {camera} in COMMAND
stands for a camera's host and port.
"""

import json
import socket
import subprocess
import sys
import time
from contextlib import suppress
from threading import Event, Thread

from tests.support.mjpeg_server import mjpeg_server

TCP, UDP, SYN, ACK = 6, 17, 2, 16
ALL = socket.htons(3)


def asked(packet: bytes) -> tuple[str, str, int] | None:
    """Whom an IP packet asks for something, if it begins a conversation: the answers to it are of no interest."""
    if packet[0] >> 4 == 4:
        protocol, rest, to = packet[9], packet[4 * (packet[0] & 15) :], socket.inet_ntoa(packet[16:20])
    else:
        protocol, rest, to = packet[6], packet[40:], socket.inet_ntop(socket.AF_INET6, packet[24:40])
    if protocol == UDP or (protocol == TCP and rest[13] & (SYN | ACK) == SYN):
        return {TCP: "tcp", UDP: "udp"}[protocol], to, int.from_bytes(rest[2:4])
    return None


def listen(sniffer: socket.socket, seen: set[tuple[str, str, int]], stop: Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            target = asked(sniffer.recv(65_535))
            if target is not None:
                seen.add(target)


def main(command: list[str]) -> int:
    for words in ("link set lo up", "route add local default dev lo", "-6 route add local default dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    seen: set[tuple[str, str, int]] = set()
    stop = Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ALL) as sniffer:
        sniffer.settimeout(0.1)
        thread = Thread(target=listen, args=(sniffer, seen, stop))
        thread.start()
        if command:
            with mjpeg_server() as camera:
                code = subprocess.run([word.format(camera=camera) for word in command], check=False).returncode
                seen.discard(("tcp", *camera.split(":")[:1], int(camera.split(":")[1])))
        else:
            code = 0
            with suppress(OSError):
                socket.create_connection(("203.0.113.1", 80), timeout=1)
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
                s.sendto(b"?", ("2001:db8::1", 53))
        time.sleep(0.3)
        stop.set()
        thread.join()
    print(json.dumps(sorted(seen)))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
