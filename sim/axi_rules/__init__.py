"""The rules of AXI at the accelerator's ports: assertions that are proven, and watched in every simulation."""
