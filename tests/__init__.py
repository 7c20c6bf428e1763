"""Tests, in the folders of what they test; helpers are imported by full name."""
