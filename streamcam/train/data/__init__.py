"""Folders and CSV files → labelled clips, divided into training and validation."""
