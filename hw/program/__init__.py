"""The program: its ring buffer, its reader, and who may start when."""
