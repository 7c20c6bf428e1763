"""Networks that do not spike, to learn from."""
