"""Overlays pushed to an RTSP server."""
