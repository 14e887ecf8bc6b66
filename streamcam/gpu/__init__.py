"""A picture that lives in a GPU's memory: decoded there, resized, painted and encoded there."""
