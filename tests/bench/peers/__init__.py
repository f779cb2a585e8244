"""The tools of others under the same storm, in the same run as ours: `make bench-peers`."""
