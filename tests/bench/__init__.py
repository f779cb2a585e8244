"""What tracing costs, measured beside an untraced run of the same machine: `make bench`."""
