"""Decoded frames → pictures: RGB, upright, with square pixels, one moment each."""
