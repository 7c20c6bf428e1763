"""A board's system in simulation: the host talks to it through its serial pins."""
