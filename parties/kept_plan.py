"""What a session of parties that keep their state costs: a plan follows from what the session found to do."""

from __future__ import annotations

from dataclasses import replace

from parties.conduct import Outcome
from parties.notes import NOTE_BYTES
from pehealth.codec.material_file import DIGEST_BYTES
from pehealth.config import Party
from pehealth.nets.plan import Plan, sensor_names
from pehealth.nets.plan_masked import SERVERS, dealer_of
from pehealth.protocols.blob import blob_cost
from pehealth.protocols.cost import Cost, exchange_cost, merge, message
from pehealth.store.state import STATE_BYTES


def session_cost(sensors: int, stocktakings: int) -> Cost:
    """Return what it takes before the first query: servers tell each other what is spent, and the centre what there is.

    Args:
        sensors: that are told their lease.
        stocktakings: two if material was dealt in this session, else one.
    """
    stock = [message(server, Party.HC, NOTE_BYTES) for server in SERVERS for _ in range(stocktakings)]
    lease = [message(Party.HC, name, NOTE_BYTES) for name in (*SERVERS, *sensor_names(sensors))]
    return exchange_cost(STATE_BYTES) + Cost(merge(*stock), depth=1) + Cost(merge(*lease), depth=1)


def session_plan(plan: Plan, outcome: Outcome, *, dealer: bool) -> Plan:
    """Return the plan of a session that deployed, or did not, and dealt as much as `outcome` says.

    A record travels with the digest that ties it to its index; where nothing was dealt the offline phase sends nothing.
    """
    setup = session_cost(plan.parameters.sensors, outcome.stocktakings)
    sizes = {server: plan.material_bytes[server] + DIGEST_BYTES for server in SERVERS}
    dealt = Cost(merge(*(blob_cost(dealer_of(dealer), s, size).links for s, size in sizes.items())), depth=1)
    return replace(
        plan,
        setup=plan.setup + setup if outcome.deployed else setup,
        offline=dealt if outcome.dealt else Cost(),
    )
