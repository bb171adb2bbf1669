"""What is computed: network descriptions, oracles, plan, and the two walkers."""
