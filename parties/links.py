"""How the parties of a run prove to each other who they are, and the carrier that each of them is linked by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from parties.start import Start
from transport.carrier import Carrier
from transport.credentials import HeldCredentials, Identity
from transport.tcp import Tcp
from transport.tls import Tls

RUN_DAYS = 30
"""What a run's certificates last: links are made at its start alone, and longer than this no run may take."""


def make_identities(names: Iterable[str]) -> dict[str, Identity]:
    """Return an identity for each party, of an authority that is forgotten at once: nobody can add to the run."""
    from transport.certificates import Authority, Span  # takes a tenth of a second, and only the launcher makes any

    span = Span.days(dt.datetime.now(dt.UTC), RUN_DAYS)
    authority = Authority.create(span)
    return {name: authority.issue(name, span) for name in names}


def carrier_of(start: Start) -> Carrier:
    """Return what carries a party's links between processes: TCP, with TLS if the party was given an identity."""
    return Tcp() if start.identity is None else Tls(HeldCredentials(start.identity))
