"""Tables, figures, claims, replay and benchmarks; they take a Runner and never launch."""
