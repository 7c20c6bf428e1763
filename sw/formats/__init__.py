"""Formats of others: a folder for each, which writes an artifact in it and, where that can be, reads it again."""
