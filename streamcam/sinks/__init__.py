"""What takes results: publishers, video files, heat files."""
