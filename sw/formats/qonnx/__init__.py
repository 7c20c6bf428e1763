"""QONNX: a whole Spikformer as an ONNX graph of exact integers, its weights quantised by QONNX's `Quant`.

`library` finds the packages, `exact` proves that floating point loses nothing, `graph` collects nodes, `quant` says what
`Quant` is, `neuron` makes neurons, `layers` everything else, `write` the model and its file.
"""
