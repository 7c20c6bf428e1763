"""Commands that make, import and show models."""
