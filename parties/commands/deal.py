"""`pehealth deal`: one-time material for many queries ahead, into the servers' stores or into files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from parties.console import line, open_console, size
from parties.flags import RunFlags
from parties.progress import show_progress
from pehealth.errors import ConfigError

if TYPE_CHECKING:
    from parties.request import RunRequest

MOST = 1_000_000


def deal(
    *,
    flags: RunFlags = RunFlags(),  # noqa: B008 - frozen
    count: int = 64,
    out: Path | None = None,
    import_: Annotated[Path | None, Parameter(name="--import")] = None,
    service: Path | None = None,
    keep: int | None = None,
) -> None:
    """Deal material before it is needed; every index serves one query, and is dealt once.

    Args:
        flags: --state names the directory; the rest is known from what is deployed there.
        count: Queries to deal material for.
        out: Write a file a server into this folder instead, for someone to carry.
        import_: Add such a file to the store of the server that it is for; nothing is dealt.
        service: HC's settings file: its running service has --count queries dealt of its only model, or of --net.
        keep: With --service: keep material for so many queries of every model from now on, rather than --count.
    """
    if service is not None:
        _deal_there(service, flags.net or "", count, keep)
        return
    if keep is not None:
        raise ConfigError("--keep has no meaning without --service: nobody would be there to deal")
    request = flags.request()
    ahead = import_module("parties.ahead")
    state = ahead.state_of(request)
    console = open_console()
    if import_ is not None:
        party, added = ahead.import_file(state, import_)
        line(console, f"{party} has material for {added:,} more queries")
        return
    if not 1 <= count <= MOST:
        raise ConfigError(f"--count {count} is outside 1..{MOST}")
    line(console, f"Material for {count:,} queries: {_sizes(request, count)}")
    with show_progress() as progress:
        if out is None:
            _, outcome = ahead.deal(request, count, progress)
            dealt = f"indices {outcome.dealt[0]} to {outcome.dealt[-1]}, in {outcome.deal_seconds:.1f} s"
            line(console, f"Both servers have it: {dealt}")
            return
        for path in ahead.deal_to_files(request, count, out, progress):
            line(console, f"{path}: {size(path.stat().st_size)}; pehealth deal --state DIR --import takes it in")


def _deal_there(service: Path, name: str, count: int, keep: int | None) -> None:
    from parties.commands.operating import ask_service

    if not 1 <= (keep or count) <= MOST:
        raise ConfigError(f"--count or --keep {keep or count} is outside 1..{MOST}")
    console = open_console()
    if keep is not None:
        said = ask_service(service, "keep", count=keep)
        line(console, f"With fewer than {said['low']:,} queries left, material is dealt until {said['high']:,} are")
        return
    said = ask_service(service, "deal", "dealing material", name=name, count=count)
    line(console, f"{said['model']}@{said['version']} has material for {said['left']:,} queries that nobody has leased")


def _sizes(request: RunRequest, count: int) -> str:
    plan = import_module("parties.resolve").resolve_deployment(request).plan
    return ", ".join(f"{server} {size(count * each)}" for server, each in plan.material_bytes.items())
