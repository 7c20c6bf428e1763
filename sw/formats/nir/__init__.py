"""NIR, the Neuromorphic Intermediate Representation: a whole Spikformer in its primitives, exactly, and back.

Every node that is written is one of NIR's own (`Conv2d`, `LIF`, `IF`, `Threshold`, `Scale`, `SumPool2d`, `I`), and
edges that meet are summed: any tool that knows these runs the network, in float64 to the last spike. `library` finds
the packages, `primitives` makes nodes, `wiring` collects them, `attention` makes products of spikes, `graph` the
network, `write` the file; `signature` recognises a file, `untrusted` looks at it, `read` makes an artifact of it.
"""
