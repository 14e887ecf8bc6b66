"""Consumers of results: publishers, video files, heat files."""
