"""Guests: the tests marked `guest` under stock kernels of Debian, in software emulation."""
