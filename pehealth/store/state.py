"""What two servers tell each other of their stores before they use them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pehealth.codec.strict_json import parse_json
from pehealth.config import Party
from pehealth.errors import MaterialError, PeerProtocolError
from pehealth.store.ranges import MOST, Ranges

STATE_BYTES = 4096
"""Bytes of a state on the wire: always the same, so that what it costs is known beforehand."""
_RETIRE = "retire it (remove its files) and deal fresh material"
_NAMES = {"plan": str, "party": str, "store": str, "session": str, "agreed": str, "generation": int, "spent": list}


@dataclass(frozen=True)
class StoreState:
    """One server's store as its peer needs to know it. No secrets.

    Attributes:
        plan: hex digest of the plan that the material was dealt for.
        party: whose store it is.
        store: its random name, kept for life.
        session: a random name, new each time it is opened.
        agreed: the peer's session with which this session has agreed; "" before that.
        generation: rises with every change of `spent`.
        spent: indices that were reserved, used or burnt: its high-water marks.
    """

    plan: str
    party: Party
    store: str
    session: str
    agreed: str
    generation: int
    spent: Ranges

    def pack(self) -> bytes:
        """Return the state in exactly `STATE_BYTES`, as JSON.

        If there are too many spans to fit, those closest to each other are told as one: what lies between counts as
        spent too.
        """
        fields = {name: getattr(self, name) for name in _NAMES}
        spent = self.spent
        while True:
            data = json.dumps({**fields, "spent": spent.spans}, separators=(",", ":")).encode()
            if len(data) <= STATE_BYTES:
                return data.ljust(STATE_BYTES)
            spent = spent.closed(len(spent.spans) * 3 // 4)

    @classmethod
    def unpack(cls, data: bytes) -> StoreState:
        """Return the state in `data`.

        Raises:
            PeerProtocolError: it is not a state.
        """
        try:
            fields = parse_json(data)
            if not isinstance(fields, dict) or {name: type(value) for name, value in fields.items()} != _NAMES:
                raise PeerProtocolError("the peer's store state has other fields or types than expected")
            if not 0 <= fields["generation"] <= MOST:
                raise PeerProtocolError(f"the peer's store state has generation {fields['generation']}")
            return cls(**{**fields, "party": Party(fields["party"]), "spent": Ranges.read(fields["spent"])})
        except ValueError as error:
            raise PeerProtocolError(f"the peer's store state cannot be read: {error}") from error

    def resumes(self, peer: StoreState) -> bool:
        """True if both stores have been open ever since they agreed with each other: only the link broke."""
        return self.agreed == peer.session and peer.agreed == self.session

    def check(self, peer: StoreState, last_store: str, last_generation: int, met: Ranges) -> None:
        """Refuse a peer whose store cannot go with ours.

        Args:
            peer: its state.
            last_store: the name of the peer's store when we last agreed.
            last_generation: its generation then.
            met: indices under which that store has answered queries with us.

        Raises:
            MaterialError: another plan, the same party, or a store that has gone back in time.
        """
        if peer.plan != self.plan:
            raise MaterialError(
                f"{peer.party}'s material is for plan {peer.plan[:12]}, {self.party}'s for {self.plan[:12]}: "
                "give both servers material of one deal"
            )
        if peer.party is not self.party.other:
            raise MaterialError(f"the peer of {self.party} uses a store of {peer.party}: check its store's path")
        if peer.store == last_store and peer.generation < last_generation:
            raise MaterialError(
                f"{peer.party}'s store was put back from an older copy: generation {peer.generation}, "
                f"{last_generation} seen before; {_RETIRE}"
            )
        if peer.store == last_store and (forgotten := met - peer.spent):
            raise MaterialError(
                f"{peer.party}'s store was put back from an older copy: it has answered queries under {forgotten} and "
                f"does not know it; {_RETIRE}"
            )
