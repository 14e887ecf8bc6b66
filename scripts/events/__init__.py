"""Trials and measurements of events that take too long for the tests."""
