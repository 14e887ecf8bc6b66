"""When each frame is shown: timestamps of files, clocks of live streams, seeking and playing."""
