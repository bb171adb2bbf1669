"""One thread for numpy's linear algebra in every test: on a busy machine its idle threads spin, twenty times slower."""

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
