"""A TCP tracer: which process, which state, how long, and what was lost."""
