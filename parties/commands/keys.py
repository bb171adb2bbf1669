"""`pehealth keys`: an authority, a certificate for each party, and what to do when one is lost."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from parties.console import line, new_table, open_console, show_table
from parties.keys import AUTHORITY, AUTHORITY_DAYS, AUTHORITY_KEY, DAYS, REVOKED, Issued, KeyFolder, request_certificate
from pehealth.errors import ConfigError
from transport.certificates import moment

Several = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]


def init(*, dir_: Annotated[Path, Parameter(name="--dir")], days: int = AUTHORITY_DAYS) -> None:
    """Make an authority.

    Args:
        dir_: Folder to make it in.
        days: How long it lasts.
    """
    folder = KeyFolder.init(dir_, days, _now())
    console = open_console()
    line(console, f"{dir_} has an authority that lasts until {moment(folder.span.end)}")
    line(console, f"{AUTHORITY} and {REVOKED} are for every party")
    line(
        console, f"{AUTHORITY_KEY} is for nobody: whoever reads it can be any party. Keep it off the parties' machines"
    )


def issue(
    *names: str,
    dir_: Annotated[Path, Parameter(name="--dir")],
    days: int = DAYS,
    renew: bool = False,
    request: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = (),
) -> None:
    """Issue a certificate for each party.

    Args:
        names: The parties: E1, E2, HC, DEALER, HMS1, ...
        dir_: Folder of the authority.
        days: How long the certificates last.
        renew: Make a new key and certificate for parties that have one.
        request: Instead of a name: what `pehealth keys request` made on the party's own machine.
    """
    if not names and not request:
        raise ConfigError("for whom? Name parties such as E1 E2 HC HMS1, or a file with --request")
    folder, console = KeyFolder(dir_, _now()), open_console()
    for issued in folder.issue(names, days, renew=renew):
        name, end = issued.name, moment(issued.span.end)
        line(console, f"{name}: {dir_ / name}.pem and {name}.key, until {end}; for {name} alone")
    for path in request:
        issued, certificate = folder.grant(path, days)
        line(console, f"{issued.name}: {certificate}, until {moment(issued.span.end)}; its key is where it was made")
    line(console, f"Every party also needs {dir_ / AUTHORITY} and {dir_ / REVOKED}")


def request(name: str, *, dir_: Annotated[Path, Parameter(name="--dir")]) -> None:
    """Make a party's key on its own machine, and a request for the authority to grant.

    Args:
        name: The party.
        dir_: Folder for the key, which stays there, and the request.
    """
    path = request_certificate(dir_, name)
    console = open_console()
    line(console, f"{dir_ / name}.key stays here. Send {path} to who keeps the authority, for:")
    line(console, f"pehealth keys issue --request {path.name} --dir ...")


def revoke(*names: str, dir_: Annotated[Path, Parameter(name="--dir")], number: Several = ()) -> None:
    """Revoke certificates: from the next handshake on, no party that has the new list takes them.

    Args:
        names: Parties, all of whose certificates are revoked.
        dir_: Folder of the authority.
        number: Single certificates, by the number that `pehealth keys list` shows.
    """
    if not names and not number:
        raise ConfigError("whose? Name parties, or certificates with --number")
    revoked, console = KeyFolder(dir_, _now()).revoke(names, number), open_console()
    for issued in revoked:
        line(console, f"{issued.name}: {issued.number} is revoked")
    if not revoked:
        line(console, "All of them were revoked before")
    line(console, f"Copy {dir_ / REVOKED} to every party; nobody needs a restart")


def show(*, dir_: Annotated[Path, Parameter(name="--dir")]) -> None:
    """List the certificates that were issued, and what each is worth.

    Args:
        dir_: Folder of the authority.
    """
    now = _now()
    folder, console = KeyFolder(dir_, now), open_console()
    title = f"Certificates of {dir_}; the authority lasts until {moment(folder.span.end)}"
    table = new_table(console, title, "party", "from", "until", "state", "number", left=5)
    for issued in folder.issued():
        table.add_row(*_row(issued, now))
    show_table(console, table)


def _row(issued: Issued, now: dt.datetime) -> tuple[str, ...]:
    return (
        issued.name,
        moment(issued.span.start),
        moment(issued.span.end),
        issued.state(now),
        issued.number,
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
