"""Threads and queues that connect sources, engines and sinks."""
