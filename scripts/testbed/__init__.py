"""Real networks on one machine: namespaces, a relay or netem between them, and a capture of what TCP carried."""
