"""Defects of the data; each trouble is a function that can be left out."""
