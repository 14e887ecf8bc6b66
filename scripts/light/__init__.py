"""What a run costs, side by side with an earlier version."""
