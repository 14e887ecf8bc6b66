"""Results → pictures: overlays, contact sheets and image files."""
