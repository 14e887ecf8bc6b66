"""Cameras, network streams, video files and JPEG pictures over HTTP → frames: `base.open_source` opens any of them."""
