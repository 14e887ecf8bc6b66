"""Layouts of well-known data sets and annotation tools → annotations; a file for each."""
