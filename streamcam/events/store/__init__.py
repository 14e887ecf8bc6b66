"""The folder of saved events: its layout, its index, and what is removed from it."""
