"""From artifact to program: placement, descriptors, weights and images in memory."""
