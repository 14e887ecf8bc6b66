"""Measurements and trials of events."""
