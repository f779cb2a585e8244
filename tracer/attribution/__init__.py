"""Who the numbers are: processes, control groups, containers."""
