"""What a model costs: counted (MACs, FLOPs, BOPs, storage) and estimated for a device."""
