"""How many threads numpy's linear algebra may use in a party: one.

A layer is too small for more, and on a busy machine idle threads spin on the other parties' cores: twenty times slower.
"""

from __future__ import annotations

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Environment variables, read once when numpy is imported; a user's own figures stay."""
