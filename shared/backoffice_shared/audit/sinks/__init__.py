"""Where records are kept: one kind of store a file."""
