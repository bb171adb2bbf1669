"""One thread for numpy's linear algebra in every test: on a busy machine its idle threads spin, twenty times slower."""

import os
import signal

from hypothesis import settings

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell that runs tests in the background has them ignore Ctrl-C, and the programs that they start would, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis' own deadline of 200 ms is a claim about time, which depends on what else the machine does.
settings.register_profile("pehealth", deadline=None)
settings.load_profile("pehealth")
