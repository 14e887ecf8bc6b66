"""A network of clips as a network of streams: each frame goes through it once."""
