"""Results → pictures: overlays, contact sheets and picture files."""
