"""Training: recipes, batches, steps, studies."""
