"""The documentation site: what of the reference is generated from the code."""
