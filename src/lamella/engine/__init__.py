"""How things run: the symbolic graph, one training step, kernels, devices, random numbers."""
