"""Messages of queries that have failed do not stay: neither those that came nor those that come."""

from __future__ import annotations

import trio
import trio.testing

from transport.interfaces import Clock, Phase, Tag
from transport.limits import Limits
from transport.mailbox import FORGOTTEN, OVERHEAD
from transport.testing import open_local

ONLINE, OFFLINE = Tag(Phase.ONLINE, 1), Tag(Phase.OFFLINE, 0)


async def test_a_forgotten_query_leaves_nothing_and_takes_nothing() -> None:
    async with open_local(("E1", "E2")) as links:
        there, here = links["E1"]["E2"], links["E2"]["E1"]
        for query in (1, 2):
            for tag in (ONLINE, OFFLINE):
                await there.endpoint(query, Clock()).send(tag, bytes(100))
        await trio.testing.wait_all_tasks_blocked()
        here.forget(1)
        assert here._mail.size == 2 * (100 + OVERHEAD)
        await there.endpoint(1, Clock()).send(ONLINE, bytes(100))
        for tag in (ONLINE, OFFLINE):
            assert await here.endpoint(2, Clock()).receive(tag, most=100) == bytes(100)
        assert here._mail.size == 0
        assert str(here._mail) == "0 bytes in 0 messages of the queries "


async def test_how_many_are_remembered_is_bounded() -> None:
    async with open_local(("E1", "E2")) as links:
        here = links["E2"]["E1"]
        for query in range(3 * FORGOTTEN):
            here.forget(query)
        assert len(here._mail._forgotten) == FORGOTTEN


async def test_a_link_that_had_stopped_reading_goes_on() -> None:
    async with open_local(("E1", "E2"), limits=Limits(buffered_bytes=100)) as links:
        there, here = links["E1"]["E2"], links["E2"]["E1"]
        await there.endpoint(1, Clock()).send(ONLINE, bytes(100))
        await there.endpoint(2, Clock()).send(ONLINE, bytes(1))
        await trio.testing.wait_all_tasks_blocked()
        here.forget(1)
        assert await here.endpoint(2, Clock()).receive(ONLINE, most=1) == bytes(1)


async def test_what_nobody_takes_is_swept_at_the_second_time() -> None:
    async with open_local(("E1", "E2")) as links:
        there, here = links["E1"]["E2"], links["E2"]["E1"]
        await there.endpoint(1, Clock()).send(ONLINE, bytes(10))
        await there.endpoint(1, Clock()).send(OFFLINE, bytes(10))
        await trio.testing.wait_all_tasks_blocked()
        here.sweep()
        await there.endpoint(2, Clock()).send(ONLINE, bytes(10))
        await trio.testing.wait_all_tasks_blocked()
        assert len(here._mail._boxes) == 3
        here.sweep()
        assert await here.endpoint(2, Clock()).receive(ONLINE, most=10) == bytes(10)
        assert await here.endpoint(1, Clock()).receive(OFFLINE, most=10) == bytes(10)
        assert here._mail.size == 0
