"""Ring-LWE arithmetic: transforms, packing of linear layers, encryption and rounding to Z_{2^k}."""
