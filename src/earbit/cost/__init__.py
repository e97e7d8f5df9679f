"""What a model costs: counted (MACs, FLOPs, BOPs, storage), estimated for a device, measured.

Nothing is imported here: the processes that are measured must stay light.
"""
