"""Arrays, keys and ciphertexts to and from bytes; whatever comes from a peer is checked."""
