"""`streamcam/1` over ZeroMQ: messages, keys, publisher and subscriber. Specified in docs/wire.md."""
