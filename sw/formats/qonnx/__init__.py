"""QONNX: a whole Spikformer as an ONNX graph of exact integers, its weights quantised by QONNX's `Quant`.

`library` finds the package, `exact` proves that floating point loses nothing, `graph` collects nodes, `quant` makes
those of weights, `neuron` those of neurons, `layers` all others, `write` the model and its file.
"""
