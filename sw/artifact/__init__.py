"""The artifact: integers of a network, their file, their ranges."""
