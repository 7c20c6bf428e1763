"""What surrounds the accelerator in simulation: memory, host and job."""
