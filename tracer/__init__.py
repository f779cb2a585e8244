"""A TCP tracer: which process, which state, how long, and what was lost."""

import os

# NumPy is here for sorting and adding up; the threads its BLAS starts would only cost time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
