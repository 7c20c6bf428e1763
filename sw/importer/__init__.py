"""Import of other people's Spikformer checkpoints, step by step, a file for each.

`checkpoint_file` reads the file, `weights` finds the network's tensors in it, `layouts` knows their names, `recognise`
tells which layout they are of, `shape` infers the network and refuses what does not match, `float_model` builds the
float model, `images` says how pixels are normalised, `quantise` makes integers of it without training, and `agreement`
measures what that cost.
"""
