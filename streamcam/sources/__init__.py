"""URI → frames: cameras, network streams, files and pictures over HTTP."""
