"""The class of whatever is none of the others. It is scored as any class is, but it is not a finding.

Its logit and its heat are in results and messages. Overlays do not name it, and its heat is not painted.
"""

NONE_OF_THESE = "none of these"

UNPAINTED = 1e4
"""The heat scale of what holds of the whole picture: so large that none of it is painted, for it would hide everything.
"""
