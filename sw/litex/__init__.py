"""The accelerator for LiteX, which builds systems on a chip around memory, processor and peripherals in Python."""
