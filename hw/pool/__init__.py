"""3x3 max-pools that move by two: of spikes behind the neurons, of currents before them."""
