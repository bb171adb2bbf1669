"""From settings to an `Operator` that is at work: files open, metrics served, the event loop watched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from parties.failure import first_cause, sentence
from parties.operation.audit import AuditLog
from parties.operation.health import Health
from parties.operation.http import HttpServer
from parties.operation.log import Clock, JsonLog, utc_now
from parties.operation.metrics import Metrics
from parties.operation.operator import Operator
from parties.operation.traffic import TrafficWatch
from parties.settings import NEEDED, Settings
from parties.start import role_of
from pehealth import __version__
from pehealth.errors import ConfigError
from transport.tcp import Tcp


@asynccontextmanager
async def open_operation(settings: Settings, now: Clock = utc_now) -> AsyncIterator[Operator]:
    """Tell the operator of a party what happens, as its settings say, until the block ends.

    Raises:
        ConfigError: a file cannot be used, or a library of the extra `[serve]` is missing.
        AddressUnusable: the address of the metrics is taken.
    """
    where = settings.operation
    health, traffic = Health(settings.deployment, NEEDED[role_of(settings.party)]), TrafficWatch()
    metrics = Metrics(settings.party, __version__, health, traffic) if where.metrics else None
    try:
        log = JsonLog(settings.party, where.log, now)
    except OSError as error:
        raise ConfigError(f"log {where.log} cannot be used: {error.strerror}") from error
    audit = AuditLog(where.audit, settings.party, now) if where.audit else None
    operator = Operator(__version__, log, audit, metrics, health, traffic, trio.current_time)
    try:
        listener = await Tcp().listen(where.metrics) if where.metrics else None
        async with trio.open_nursery() as nursery:
            if listener is not None:
                log.write("listening", address=listener.address)
                nursery.start_soon(HttpServer(operator.respond).serve, listener)
            nursery.start_soon(operator.watch)
            nursery.start_soon(operator.keep_audit)
            yield operator
            nursery.cancel_scope.cancel()
    except Exception as error:
        operator.failed(sentence(first_cause(error)))
        raise
    finally:
        operator.close()
