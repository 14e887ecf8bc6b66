"""`streamcam/1` over ZeroMQ: messages, keys, publisher and subscriber.

Specified in docs/reference/message-format.md.
"""
