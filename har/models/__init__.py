"""The action network, the risk model and the bundle that carries both."""
