"""RTL beside the golden model: decode, compare, report."""
