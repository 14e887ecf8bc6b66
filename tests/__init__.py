"""What is promised of streamcam: a folder for each wing of the package."""
