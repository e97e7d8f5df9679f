"""Cost of a model: counted (MACs, FLOPs, BOPs, storage) and estimated for a device."""
