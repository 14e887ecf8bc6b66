"""Compute class activation heat from feature maps, and find boxes, peaks and tubes in it."""
