"""Threads and queues that connect sources, engines and sinks; and the assembly of a run from a configuration."""
