"""From trained model to artifact."""
