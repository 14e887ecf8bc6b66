"""Explain recordings: what a network sees in them, and where.

- `film`: a video, as overlay, heat, sheet and table; `film_outputs` writes them.
- `stills`: pictures, as overlays, sheets and a table.
- `per_frame`: average overlapping windows into one result for each frame.
- `findings`: class, score, box and peak of heat, as rows of a table.
- `storyboard`: draw a video on one sheet.
"""
