"""How linear layers are computed: plain functions, a file an engine."""
