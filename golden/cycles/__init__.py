"""The cycle model: what the accelerator's counters will say."""
