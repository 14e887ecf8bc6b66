"""Clips → heat. `base` has the protocol, `backends` makes an engine for a device."""
