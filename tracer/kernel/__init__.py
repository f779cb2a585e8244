"""Everything that needs the kernel and its permission: libbpf, maps, buffers, iterators."""
