"""The face without an event loop: trio in a thread of its own, which ends with the block whatever happens."""

import subprocess
import sys
import threading
from contextlib import asynccontextmanager

import pytest
import trio

from pehealth.api.centre import centre_of, connect
from pehealth.api.sync import centre_in_thread, connect_sync
from pehealth.data import clinic
from pehealth.errors import ConfigError, PeerAborted
from transport.errors import LinkClosed

DATA = clinic.load_clinic()
X = DATA.ranges.raw(DATA.features[DATA.test[:5]])


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "pehealth"]


def test_calls_block_until_their_result_is_there(client, opened) -> None:
    with centre_in_thread(centre_of(opened(client))) as centre:
        assert centre.card is client.card
        assert centre.models() == [client.card]
        whole = centre.infer(X)
        assert [one.label for one in whole] == [one.label for one in centre.stream(list(X))]
    assert threads() == []
    with pytest.raises(LinkClosed, match="was closed, and then used"):
        centre.infer(X)


def test_many_threads_at_once(client, opened) -> None:
    labels = {}
    with centre_in_thread(centre_of(opened(client))) as centre:
        workers = [
            threading.Thread(target=lambda n=n: labels.update({n: centre.infer(X[n]).label})) for n in range(len(X))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [labels[n] for n in range(len(X))] == list(centre.infer(X).labels)


def test_errors_come_out_where_they_belong(client, opened, lost) -> None:
    with centre_in_thread(centre_of(opened(client))) as centre:
        with pytest.raises(ConfigError):
            centre.infer([1, 2])
        client.failures = [lost]
        with pytest.raises(PeerAborted, match="its disk is full"):
            centre.infer(X[0])
        assert centre.infer(X[0]).label
        stream = centre.stream([X[0], [1]])
        next(stream)
        with pytest.raises(ConfigError):
            next(stream)


def test_an_error_in_the_block_comes_out_and_the_thread_ends(client, opened) -> None:
    with pytest.raises(ZeroDivisionError), centre_in_thread(centre_of(opened(client))):
        raise ZeroDivisionError
    assert threads() == []


def test_what_cannot_be_opened_says_why(tmp_path, lost) -> None:
    @asynccontextmanager
    async def broken():
        await trio.lowlevel.checkpoint()
        raise lost
        yield

    with pytest.raises(PeerAborted, match="its disk is full"), centre_in_thread(centre_of(broken())):
        pass
    with pytest.raises(ConfigError, match="cannot be read"), connect_sync(tmp_path / "none.toml"):
        pass
    with pytest.raises(ConfigError, match="names no model"):
        connect(tmp_path / "none.toml", "clinic@new")
    assert threads() == []


def test_a_connection_that_ends_by_itself_is_an_error_of_the_block(client, lost) -> None:
    fail = trio.Event()

    @asynccontextmanager
    async def breaking():
        async with trio.open_nursery() as nursery:

            async def later():
                await fail.wait()
                raise lost

            nursery.start_soon(later)
            yield client
            nursery.cancel_scope.cancel()

    with pytest.raises(PeerAborted, match="its disk is full"), centre_in_thread(centre_of(breaking())) as centre:
        centre._portal.run(_set, fail)
        with pytest.raises(PeerAborted, match="its disk is full"):
            while True:
                centre.infer(X[0])


async def _set(event: trio.Event) -> None:
    event.set()


def test_the_package_itself_stays_light() -> None:
    code = "import sys, pehealth; print(sorted({'numpy', 'trio', 'msgpack'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
