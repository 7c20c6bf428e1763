"""Small parts of every unit: trees, delays, and memories in the forms of a technology."""
