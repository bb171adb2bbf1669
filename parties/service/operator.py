"""Commands of a running party's own operator, over a Unix socket that the party's user alone can open.

A command is one map, answered by maps: {"tell": text} and {"at": done, "of": all} while it is under way, at last
{"ok": {...}} or {"error": text, "kind": name}. Framing is that of the launcher's control messages.
"""

from __future__ import annotations

import io
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from parties.control import ControlError, Decoder, Kind, Message, encode
from parties.failure import first_cause, sentence
from parties.request import RunRequest
from parties.service.fields import Fields
from parties.service.party import PartyService
from parties.service.requests import error_of
from parties.settings import Settings
from pehealth.config import Engine
from pehealth.errors import ConfigError, PeerAborted, PeerProtocolError, PehealthError
from pehealth.nets.weights import load
from transport.errors import PeerLost, TransportError

SOCKET = "control.sock"
MOST_BYTES = 256 * 2**20
_COMMAND_SECONDS = 60.0
"""A command must have arrived by then."""
_MOST_PATH = 100
"""Bytes of a socket's path that every system takes."""
MOST_DEALT = 1_000_000

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


@asynccontextmanager
async def open_socket(service: PartyService) -> AsyncIterator[None]:
    """Take an operator's commands as long as the block lasts.

    Raises:
        ConfigError: the socket cannot be made.
    """
    path = socket_of(service.settings)
    listener = _listen(path)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_accept, listener, service, nursery)
            yield
            nursery.cancel_scope.cancel()
    finally:
        listener.close()
        with suppress(OSError):
            path.unlink()


def socket_of(settings: Settings) -> Path:
    """Return where a party's operator finds it. Raises ConfigError: it keeps no store."""
    if settings.store is None:
        raise ConfigError(f"{settings.source}: store is missing: a service keeps models and material in it")
    return settings.store / SOCKET


def _listen(path: Path) -> trio.socket.SocketType:
    if len(os.fsencode(path)) > _MOST_PATH:
        raise ConfigError(f"{path} is too long for a socket's path: take a store whose path is shorter")
    # The store is locked, so a socket that is there is left from a crash.
    path.unlink(missing_ok=True)
    made = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        # Without a wait: the mask is the whole process's.
        made._sock.bind(str(path))  # type: ignore[attr-defined]  # noqa: SLF001
    except OSError as error:
        made.close()
        raise ConfigError(f"{path} cannot be made: {error.strerror}") from error
    finally:
        os.umask(before)
    made.listen(8)
    return made


async def _accept(listener: trio.socket.SocketType, service: PartyService, nursery: trio.Nursery) -> None:
    while True:
        try:
            connection, _ = await listener.accept()
        except OSError:
            await trio.sleep(0.1)
            continue
        nursery.start_soon(_attend, trio.SocketStream(connection), service)


async def _attend(stream: trio.SocketStream, service: PartyService) -> None:
    """Do one command, and hang up; it goes on if whoever asked has gone."""

    async def send(body: Mapping[str, Any]) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            await stream.send_all(encode(Message(Kind.MESSAGE, body), MOST_BYTES))

    async with stream:
        try:
            with trio.fail_after(_COMMAND_SECONDS):
                command = await _receive_one(stream, Decoder(MOST_BYTES))
            await send({"ok": await Commands(service, send).do(command)})
        except (trio.TooSlowError, trio.BrokenResourceError, ControlError):
            return
        except Exception as error:  # noqa: BLE001 - one command failed, and the party lives on
            cause = first_cause(error)
            body = {"error": sentence(cause), "kind": type(cause).__name__}
            if isinstance(cause, PeerAborted):
                body |= {"origin": cause.origin, "error": cause.reason}
            await send(body)


async def _receive_one(stream: trio.SocketStream, decoder: Decoder) -> Mapping[str, Any]:
    while data := await stream.receive_some():
        for message in decoder.feed(data):
            return message.body
    raise trio.BrokenResourceError


class Commands:
    """What an operator may ask of a party."""

    def __init__(self, service: PartyService, send: Send) -> None:
        self._service, self._send = service, send
        self._said: list[str] = []

    async def do(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do one command and return the answer's fields. Raises what it failed of."""
        known = {"status": self.status}
        if self._service.is_centre:
            known |= {"deploy": self.deploy, "retire": self.retire, "deal": self.deal, "keep": self.keep}
        op = command.get("ask")
        if not isinstance(op, str) or op not in known:
            raise ConfigError(f"{self._service.settings.party} does not {str(op)[:40]!r}: it does {', '.join(known)}")
        return await known[op](Fields(op, {name: value for name, value in command.items() if name != "ask"}))

    async def status(self, f: Fields) -> Mapping[str, Any]:
        """Say what is deployed, what is left, who is linked."""
        f.finish()
        return await self._service.status()

    async def deploy(self, f: Fields) -> Mapping[str, Any]:
        """Deploy a model, which is sent as an .npz file."""
        data, given = f.octets("model", MOST_BYTES), f.table("request")
        version = f.number("version", 0, 10**9)
        f.finish()
        model = load(io.BytesIO(data))
        request = _request(given)
        async with self._telling() as tell:
            room = await self._service.centre.deploy(model, request, tell, version or None)
        p, card = room.spec.parameters, room.card
        return {
            "model": room.spec.model, "version": room.spec.version, "id": room.spec.id, "engine": str(p.engine),
            "digits": p.digits, "ring": p.ring, "batch": p.batch, "bits": p.security_bits,
            "error_bound": str(card.error_bound), "scale": str(card.scale),
        }  # fmt: skip

    async def retire(self, f: Fields) -> Mapping[str, Any]:
        """Retire a model, or one version of it."""
        name, version = f.text("name"), f.number("version", 0, 10**9)
        f.finish()
        async with self._telling() as tell:
            return {"queries": await self._service.centre.retire(name, version or None, tell)}

    async def keep(self, f: Fields) -> Mapping[str, Any]:
        """Keep so much material dealt from now on."""
        count = f.number("count", 1, MOST_DEALT)
        f.finish()
        low, high = await self._service.centre.keep(count)
        return {"low": low, "high": high}

    async def deal(self, f: Fields) -> Mapping[str, Any]:
        """Deal material for so many queries more."""
        name, count = f.text("name"), f.number("count", 1, MOST_DEALT)
        f.finish()

        async def progress(done: int, of: int) -> None:
            await self._send({"at": done, "of": of})

        room = await self._service.centre.deal(name, count, progress)
        return {"model": room.spec.model, "version": room.spec.version, "left": room.stock.left}

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[Callable[[str], None]]:
        """Pass on what is told in the block, in order."""
        say, hear = trio.open_memory_channel[str](1000)

        async def forward() -> None:
            async for text in hear:
                await self._send({"tell": text})

        def tell(text: str) -> None:
            with suppress(trio.WouldBlock):
                say.send_nowait(text)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(forward)
            try:
                yield tell
            finally:
                say.close()


def _request(given: Mapping[str, Any]) -> RunRequest:
    """Return how a model is to be deployed. Raises ConfigError."""
    f = Fields("deploy", given)
    engine = f.text("engine", 16)
    numbers = {name: f.number(name, 0, 10_000) for name in ("digits", "ring", "batch")}
    lattice, reveal = f.text("lattice", 64), f.text("reveal", 16)
    f.finish()
    if engine not in set(Engine) or reveal not in ("logits", "class"):
        raise ConfigError(f"no engine {engine!r}, or nothing to reveal as {reveal!r}")
    digits = numbers["digits"] - 1  # 0 says: as many as usual
    return RunRequest(
        engine=Engine(engine),
        digits=None if digits < 0 else digits,
        ring=numbers["ring"] or None,
        batch=numbers["batch"] or 1,
        samples=numbers["batch"] or 1,
        lattice=lattice or None,
        reveal="class" if reveal == "class" else "logits",
    ).checked()


# ---- the operator's side


async def command(
    settings: Settings, op: str, tell: Callable[[str], None], progress: Callable[[int, int], None], **fields: object
) -> Mapping[str, Any]:
    """Have a running party do a command, and return its answer.

    Args:
        settings: the party's own: its store is where its socket is.
        op: what to do.
        tell: is told how far it is, in words.
        progress: is told how much is done, and of how much.
        fields: what else the command needs.

    Raises:
        ConfigError: the party does not run on this machine, or cannot do it.
        PehealthError, TransportError: it failed.
    """
    path = socket_of(settings)
    try:
        stream = await trio.open_unix_socket(path)
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"{settings.party} does not run here: {path}: {getattr(error, 'strerror', '') or error}; "
            f"pehealth serve {settings.source} first"
        ) from error
    async with stream:
        try:
            await stream.send_all(encode(Message(Kind.MESSAGE, {"ask": op, **fields}), MOST_BYTES))
            return await _answer(stream, settings.party, tell, progress)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise PeerLost(f"{settings.party}'s service has ended; see what it says itself") from error


async def _answer(
    stream: trio.SocketStream, party: str, tell: Callable[[str], None], progress: Callable[[int, int], None]
) -> Mapping[str, Any]:
    decoder = Decoder(MOST_BYTES)
    while data := await stream.receive_some():
        for message in decoder.feed(data):
            body = message.body
            if "tell" in body:
                tell(str(body["tell"]))
            elif "at" in body:
                progress(int(body["at"]), int(body["of"]))
            elif isinstance(body.get("ok"), dict):
                return dict(body["ok"])
            else:
                raise _error(party, body)
    raise trio.BrokenResourceError


def _error(party: str, body: Mapping[str, Any]) -> PehealthError | TransportError:
    words = [body.get(name, "") for name in ("kind", "error", "origin")]
    if not all(isinstance(word, str) for word in words):
        return PeerProtocolError(f"{party}'s service sent an answer that is none")
    return error_of(party, *words)
