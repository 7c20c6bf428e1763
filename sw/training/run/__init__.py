"""What a run leaves in its folder, shows while it trains, and hears from its user."""
