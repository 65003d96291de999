"""Hostile input, guided by the coverage of the code that reads it."""
