"""The host's side: registers, jobs and results."""
