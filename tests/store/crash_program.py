"""A server's day with its store, killed at every step in turn; run as a script by test_material_crash.py.

A step is a moment just before or just after something becomes durable: a commit, a sync, a rename, a checkpoint. Each
trial forks a process that dies by SIGKILL at step n, then one that finishes undisturbed on the same files. Uses are
written to a journal at once; the rule is that no index is in it twice. Prints one line of JSON.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pehealth.codec.material_file import Header, write_material
from pehealth.config import Party
from pehealth.store import database, epoch
from pehealth.store.database import Database
from pehealth.store.leases import Lease
from pehealth.store.material import MaterialStore
from pehealth.store.ranges import Ranges
from pehealth.store.state import StoreState

PLAN = bytes(32)
COUNT = 16


def record(index: int) -> bytes:
    return index.to_bytes(4, "big") * 100


class Killer:
    """Counts steps and ends this process, without any clean-up, at one of them."""

    def __init__(self, at: int) -> None:
        self.at, self.step = at, 0

    def tick(self) -> None:
        self.step += 1
        if self.step == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            result = real(*args, **kwargs)
            self.tick()
            return result

        setattr(owner, name, watched)


def day(folder: Path) -> None:
    """Fill the store if it is empty, meet the peer, use two of every three reserved indices and one unreserved, end."""
    store = MaterialStore.open_or_create(folder / "store", PLAN, Party.E1)
    if not store.remaining() and not store.epoch:
        store.import_file(io.BytesIO((folder / "file").read_bytes()))
    store.grant(Lease("ward", 0, COUNT))
    store.agree(StoreState(PLAN.hex(), Party.E2, "peer", "session", "", 1, Ranges.of([(0, 1)])))
    with (folder / "journal").open("ab", buffering=0) as journal:

        def use(index: int) -> None:
            store.accept(index, "ward")
            good = store.take(index) == record(index)
            journal.write(f"{index} {good}\n".encode())

        for _ in range(2):
            for index in store.reserve(3, "ward")[:2]:
                use(index)
        use(next(i for i in range(COUNT - 1, -1, -1) if i not in store.state().spent))
    store.close()


def forked(work: Callable[[], None]) -> int:
    """Run `work` in a child; return its exit code, negative if a signal ended it."""
    pid = os.fork()
    if not pid:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - reported to the parent, which fails
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def trial(folder: Path, at: int) -> dict[str, Any]:
    folder.mkdir()
    write_material(folder / "file", Header(PLAN, Party.E1, 0, COUNT, 400), (record(i) for i in range(COUNT)))

    def disturbed() -> None:
        killer = Killer(at)
        for owner, name in (
            (Database, "_commit"),
            (Database, "checkpoint"),
            (os, "fsync"),
            (Path, "replace"),
            (epoch, "sync_directory"),
            (database, "sync_directory"),
        ):
            killer.around(owner, name)
        day(folder)

    first = forked(disturbed)
    second = forked(lambda: day(folder))
    lines = (folder / "journal").read_text().split("\n")[:-1]
    return {"at": at, "first": first, "second": second, "journal": lines}


def main(root: Path) -> None:
    trials = []
    while not trials or trials[-1]["first"] == -signal.SIGKILL:
        trials.append(trial(root / str(len(trials)), len(trials) + 1))
    sys.stdout.write(json.dumps(trials))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
