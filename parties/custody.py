"""A party's own folder: its part of a deployment, and beside it what it alone must remember.

No other party reads or writes there. Everything here waits for the disk, so it runs by `Actor.on_disk`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from parties.actor import Actor
from parties.start import Start
from pehealth.config import Party
from pehealth.errors import ConfigError, MaterialError
from pehealth.store.deployment import Deployment, Settings, differences, private_folder
from pehealth.store.leases import LeaseBook
from pehealth.store.material import MaterialStore

MATERIAL, LEASES = "material.db", "leases.db"
OWN_OPERATIONS = ("open", "commit")


def settings_of(start: Start) -> Settings:
    """Return the public settings to which a deployment is bound; how many sensors take part may change."""
    dealer = Party.DEALER if Party.DEALER in start.everyone else Party.HC
    agreed = {name: value for name, value in start.agreed().items() if name != "sensors"}
    return {**agreed, "dealer": str(dealer)}


class Custody:
    """What one party has on disk. Its files are closed with the actor."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._folder = Path(actor.start.state)
        self._deployment: Deployment | None = None
        actor.closing.callback(self._close)

    async def handle(self, op: str) -> Mapping[str, Any]:
        """Do "open": say what stands in the folder; or "commit": note that every party has its part."""
        if op == "open":
            return await self._actor.on_disk(self._open)
        await self._actor.on_disk(self.deployment.commit)
        return {}

    def _open(self) -> dict[str, Any]:
        found = self._deployment = Deployment.find(private_folder(self._folder), self._actor.start.name)
        if found is None or not found.whole:
            return {"deployment": "", "committed": False}
        return {"deployment": found.name, "committed": found.committed}

    @property
    def deployment(self) -> Deployment:
        """This party's part, once it was kept or taken up."""
        if self._deployment is None:
            raise ConfigError(f"{self._actor.start.name}: nothing is deployed in {self._folder}: deploy first")
        return self._deployment

    async def keep(self, parts: Mapping[str, bytes]) -> None:
        """Write what this party holds of a new deployment; it is used again only once it is committed."""
        await self._actor.on_disk(self._keep, parts)

    def _keep(self, parts: Mapping[str, bytes]) -> None:
        self._close()
        start = self._actor.start
        folder = private_folder(self._folder)
        self._deployment = Deployment.create(folder, start.name, start.run_id, settings_of(start), parts)

    async def take_up(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return parts of the deployment by name, if it is the one that this session asks for.

        Raises:
            ConfigError: it has other settings; names each.
            MaterialError: a part is missing or was changed on disk.
        """
        return await self._actor.on_disk(self._take_up, tuple(names))

    def _take_up(self, names: tuple[str, ...]) -> dict[str, bytes]:
        start, found = self._actor.start, self.deployment
        if wrong := differences(settings_of(start), found.settings):
            raise ConfigError(
                f"{start.name}: {self._folder} holds a deployment with other settings ({'; '.join(wrong)}): leave "
                "these flags out, or take another --state directory"
            )
        return {name: found.part(name) for name in names}

    def open_store(self) -> MaterialStore:
        """Return the server's store of material, empty if there was none; it is closed with the actor.

        Raises:
            MaterialError: it is damaged, open elsewhere, an older copy of itself, or of another deployment.
        """
        party = self._actor.party
        store = MaterialStore.open_or_create(self._folder / MATERIAL, self.deployment.digest, party)
        self._actor.closing.callback(_quietly, store)
        return store

    def open_book(self) -> LeaseBook:
        """Return the centre's book of leases; errors as `open_store`."""
        book = LeaseBook.open(self._folder / LEASES, self.deployment.digest)
        self._actor.closing.callback(_quietly, book)
        return book

    def _close(self) -> None:
        if self._deployment is not None:
            _quietly(self._deployment)
            self._deployment = None


def _quietly(kept: Deployment | MaterialStore | LeaseBook) -> None:
    """Close a file. What is wrong with it is told when it is opened again; here it would hide why we stop."""
    with suppress(MaterialError):
        kept.close()
