"""`streamcam/1` over ZeroMQ: messages, keys, publisher and subscriber."""
