"""The wire format, without a kernel: types of the object, layouts, batches, filters, recordings."""
