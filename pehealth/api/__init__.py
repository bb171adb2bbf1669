"""Private inference from Python: with a centre whose services run, or with all parties in this process.

    from pehealth.api import connect, run_local

`import pehealth` does not import this: it brings numpy and trio. docs/api.md has the whole with examples.
"""

from pehealth.api.centre import Centre, connect
from pehealth.api.local import run_local
from pehealth.api.result import Result
from pehealth.api.sync import SyncCentre, connect_sync

__all__ = ["Centre", "Result", "SyncCentre", "connect", "connect_sync", "run_local"]
