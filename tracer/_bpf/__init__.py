"""The compiled programs: built from bpf/ by make or pip, not kept in git."""
