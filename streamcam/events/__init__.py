"""Zones, rules and events: what happens where, for how long, and what is kept of it."""
