"""Subscribers for people: a window, or lines on a terminal."""
