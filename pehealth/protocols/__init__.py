"""Protocols between E1 and E2: coroutines over a Context."""
