"""External memory: the AXI4 port and who reads and writes through it."""
