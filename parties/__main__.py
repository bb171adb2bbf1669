"""`python -m parties` is `pehealth`."""

import sys

from parties.cli import main

sys.exit(main())
