"""The configuration of a run and of a training.

YAML files, the command line and Python share the same keys: `max_frames: 9` in a file is `--max-frames 9` on the
command line and `max_frames=9` in Python. A key's description is the help text of its option.
"""
