"""Sockets: results out to any number of processes, and in again. A slow receiver costs the sender nothing."""

from streamcam.transport.publisher import Publisher
from streamcam.transport.subscriber import Subscriber

__all__ = ["Publisher", "Subscriber"]
