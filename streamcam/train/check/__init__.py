"""What is in a data set, before a network learns from it."""
