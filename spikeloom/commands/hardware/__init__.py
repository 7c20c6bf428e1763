"""Commands that make and size hardware."""
