"""One party's settings: a TOML file, read and checked as a whole; every problem is listed at once.

docs/deployment.md says what each setting is for; docs/examples has a file for each role.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parties.keys import bad_name
from parties.operation.settings import OperationSettings, read_operation
from parties.settings_service import ServiceSettings, read_service
from parties.settings_tls import check_files, warn_of_files
from parties.start import role_of
from parties.toml_reader import TomlReader
from pehealth.config import Party
from pehealth.errors import ConfigError
from transport.carrier import Carrier
from transport.credentials import TlsFiles
from transport.handshake import is_name
from transport.limits import Limits
from transport.tcp import Tcp, parse_address
from transport.tls import Tls

CALLS = "calls"
"""In place of the address of a peer that calls us."""
DAY_SECONDS = 86_400.0
GIB = 2**30
CALLED = (Party.E1, Party.E2, Party.DEALER, Party.HC)
"""Of two parties that both listen the earlier is called, so that the centre can stay behind its firewall; sensors come
last."""
NEEDED = {
    Party.E1: (Party.E2, Party.HC),
    Party.E2: (Party.E1, Party.HC),
    Party.HC: (Party.E1, Party.E2),
    Party.DEALER: (Party.E1, Party.E2, Party.HC),
    Party.HMS: (Party.E1, Party.E2),
}
"""Whom a party cannot do without."""
NEVER = ({Party.HMS}, {Party.HMS, Party.DEALER})
"""Roles that are never linked to each other."""
PLAIN = "links are PLAIN TCP (insecure_plain): whoever is between the parties reads and changes what they send"


@dataclass(frozen=True)
class Settings:
    """One party's settings.

    Attributes:
        party: who we are.
        deployment: names what the parties do together; the same at all of them.
        listen: the address that others call; empty if nobody can.
        peers: party -> its address, or nothing for one that calls us.
        tls: where our certificate, key and authority are; None: plain TCP, INSECURE.
        store: folder of models, material and marks.
        limits: what a peer may cost us, deadlines included.
        join_seconds: until when all peers must be there.
        greet_seconds: how long one caller may take to greet.
        source: the file.
        service: how the party behaves as a long-running service.
        operation: where its operator is told what happens.
    """

    party: str
    deployment: str
    listen: str
    peers: Mapping[str, str]
    tls: TlsFiles | None
    store: Path | None
    limits: Limits
    join_seconds: float
    greet_seconds: float
    source: Path
    service: ServiceSettings = field(default_factory=ServiceSettings)
    operation: OperationSettings = field(default_factory=OperationSettings)

    def links(self, peers: Collection[str]) -> tuple[list[str], dict[str, str]]:
        """Return which of `peers` call us, and the addresses of those that we call."""
        called = {p: a for p, a in self.peers.items() if p in peers and calls(self.party, self.listen, p, a)}
        return [p for p in self.peers if p in peers and p not in called], called

    def carrier(self) -> Carrier:
        """Return what carries our links. Raises TransportError naming a file that cannot be used any more."""
        return Tcp() if self.tls is None else Tls(self.tls)

    def warnings(self, now: dt.datetime) -> list[str]:
        """Return what should be known at every start, a line each."""
        links = [PLAIN] if self.tls is None else warn_of_files(self.tls, now)
        return links + self.operation.warnings()


def calls(own: str, listen: str, peer: str, address: str) -> bool:
    """Say whether we call a peer. Of two that listen, the one that stands earlier in `CALLED` is called."""
    return bool(address) and (not listen or place(peer) < place(own))


def place(name: str) -> tuple[int, str]:
    """Return where a party stands among all, the same for everyone: as in `CALLED`, sensors last."""
    role = role_of(name)
    return (len(CALLED) if role is Party.HMS else CALLED.index(role)), name


def load_settings(path: Path, now: dt.datetime | None = None) -> Settings:
    """Return the settings in a file; paths in it are relative to its folder.

    Raises:
        ConfigError: every problem in the file, and in the files that it names.
    """
    now = now or dt.datetime.now(dt.UTC)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    problems: list[str] = []
    settings = _read(TomlReader(table, "", problems), path)
    problems += _bad_names(settings)
    problems += _bad_links(settings)
    if settings.tls is not None and not problems:
        problems += check_files(settings.party, settings.tls, now)
    if problems:
        raise ConfigError(*(f"{path}: {problem}" for problem in problems))
    return settings


def _read(top: TomlReader, path: Path) -> Settings:
    deadlines = top.table("deadlines")
    limits = top.table("limits")
    peers = {name: "" if where == CALLS else where for name, where in top.table("peers", required=True).texts().items()}
    store = top.text("store", "")
    settings = Settings(
        party=top.text("party", example='"E1"'),
        deployment=top.text("deployment", example='"north-clinic", the same at every party'),
        listen=top.text("listen", ""),
        peers=peers,
        tls=_read_tls(top.table("tls", required=True), path.parent),
        store=path.parent / store if store else None,
        limits=_read_limits(limits, deadlines),
        join_seconds=deadlines.number("join", 60.0, 1.0, DAY_SECONDS),
        greet_seconds=deadlines.number("greet", 10.0, 0.1, 600.0),
        source=path,
        service=read_service(top, limits, deadlines),
        operation=read_operation(top.table("operation"), path.parent),
    )
    for reader in (top, deadlines, limits):
        reader.finish()
    return settings


def _read_limits(limits: TomlReader, deadlines: TomlReader) -> Limits:
    default = Limits()
    silence = deadlines.number("silence", default.silence_seconds, 1.0, DAY_SECONDS)
    keepalive = deadlines.number("keepalive", default.keepalive_seconds, 0.1, DAY_SECONDS)
    if keepalive >= silence:
        deadlines.complain("keepalive", f" = {keepalive:g}: must be below silence, {silence:g}, or peers lose us")
        silence, keepalive = default.silence_seconds, default.keepalive_seconds
    return Limits(
        frame_bytes=int(limits.number("frame_bytes", default.frame_bytes, 2**16, 2 * GIB)),
        buffered_bytes=int(limits.number("buffered_bytes", default.buffered_bytes, 2**16, 64 * GIB)),
        silence_seconds=silence,
        deadline_seconds=deadlines.number("message", default.deadline_seconds, 1.0, DAY_SECONDS),
        keepalive_seconds=keepalive,
    )


def _read_tls(tls: TomlReader, folder: Path) -> TlsFiles | None:
    if tls.flag("insecure_plain"):
        for key in ("certificate", "key", "authority", "revoked"):
            if tls.has(key):
                tls.complain(key, " has no meaning with insecure_plain = true")
        return None
    files = {key: tls.text(key, example=f'"{key}.pem"') for key in ("certificate", "key", "authority")}
    revoked = tls.text("revoked", "")
    tls.finish()
    return TlsFiles(
        **{key: folder / name for key, name in files.items()}, revoked=folder / revoked if revoked else None
    )


def _bad_names(settings: Settings) -> Iterator[str]:
    own = settings.party
    wrong = [problem for name in (*([own] if own else []), *settings.peers) for problem in bad_name(name)]
    yield from wrong
    if settings.deployment and not is_name(settings.deployment):
        yield f"deployment = {settings.deployment!r}: expected at most 64 letters, digits, '_', '.' and '-'"
    if wrong or not own:
        return
    if own in settings.peers:
        yield f"[peers] {own}: that is this party itself"
    for peer in settings.peers:
        if peer != own and {role_of(own), role_of(peer)} in NEVER:
            yield f"[peers] {peer}: {own} and {peer} are never linked"
    if settings.peers:
        missing = [str(p) for p in NEEDED[role_of(own)] if p not in settings.peers]
        if missing:
            yield f"[peers]: {own} also needs {', '.join(missing)}"


def _bad_links(settings: Settings) -> Iterator[str]:
    listen = settings.listen
    places: dict[str, str] = {}
    if listen:
        yield from _bad_address("listen", listen)
        places[listen] = "our own, in listen"
    for peer, address in settings.peers.items():
        if address:
            yield from _bad_address(f"[peers] {peer}", address)
            if address in places:
                yield f"[peers] {peer} = {address!r}: that address is {places[address]}"
            places[address] = f"that of {peer}"
        elif not listen:
            yield f"[peers] {peer}: it is to call us, and there is no listen: give its address here, or a listen"


def _bad_address(what: str, address: str) -> Iterator[str]:
    try:
        _, port = parse_address(address)
    except ValueError as error:
        yield f"{what}: {error}"
    else:
        if port == 0:
            yield f"{what} = {address!r}: others must know the port, so it cannot be 0"
