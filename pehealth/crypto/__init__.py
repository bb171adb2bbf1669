"""Pure arithmetic: no event loop, no wire format; randomness is an argument."""
