"""Integer golden model, cycle model and operation counts."""
