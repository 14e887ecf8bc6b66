"""Trials of the events' folder that take too long for the tests."""
