"""Commands that compare and measure."""
