"""The vendors, a folder each."""
