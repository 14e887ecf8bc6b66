"""Is it right, and is the heat in the right place? Truth, metrics, contenders; optical flow where nobody labelled."""
