"""The report: one HTML page about one comparison, which opens from disk and needs no network."""
