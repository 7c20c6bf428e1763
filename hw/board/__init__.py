"""A board around the accelerator: serial link to the host, memory in block RAM, clock and pins."""
