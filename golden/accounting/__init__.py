"""Operations, energy, firing rates and words that are zero, of a golden run."""
