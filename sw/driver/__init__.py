"""The host's side of the registers: reach them, run jobs, read what came out."""
