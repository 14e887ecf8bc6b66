"""What was recorded → what a network sees in it, and where.

film         a video → overlay, heat, sheet, table
stills       pictures → overlays, sheets, table
per_frame    overlapping windows → one answer for each frame
findings     heat → rows of a table: class, score, box, peak
storyboard   a video on one sheet
"""
