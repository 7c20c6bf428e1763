"""The parts of the report, a module for each; their order is in `spikeloom.report.page`."""
