"""How right events are: rules on real footage against what really moves, plain and disturbed."""
