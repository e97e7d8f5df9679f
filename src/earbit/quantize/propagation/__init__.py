"""How the error of quantized modules grows on its way through a model."""
