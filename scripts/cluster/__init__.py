"""A deployment on this machine, each party a process: for soak tests and benchmarks."""
