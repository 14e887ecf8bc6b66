"""GPU images: pictures that are decoded on a GPU, and resized, painted and encoded there."""
