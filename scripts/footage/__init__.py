"""Clips and pictures that the package and its documents show, and heat held against real motion."""
