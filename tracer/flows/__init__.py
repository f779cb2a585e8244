"""What records and counters add up to, with NumPy alone."""
