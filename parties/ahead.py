"""Deploying a model and dealing material apart from any query: over links, or by files that someone carries."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from parties.conduct import Crew, Outcome, Progress
from parties.custody import MATERIAL
from parties.launch import Session, kept_conductor, perform_job
from parties.masked import secret_part
from parties.request import RunRequest
from parties.resolve import Job, resolve_deployment
from parties.start import party_names
from parties.state_dir import party_folder
from pehealth.codec.material_file import Header, MaterialWriter, read_header
from pehealth.config import Party
from pehealth.crypto.prg import Prg
from pehealth.engines.catalog import masked_engine
from pehealth.engines.interface import Record
from pehealth.errors import ConfigError
from pehealth.nets.masked_material import deal_query
from pehealth.nets.plan_masked import SERVERS, dealer_of, material_plan
from pehealth.store.deployment import Deployment, private_folder
from pehealth.store.material import MaterialStore


def state_of(request: RunRequest) -> Path:
    """Return the directory of `--state`.

    Raises:
        ConfigError: none was named.
    """
    if request.state is None:
        raise ConfigError("--state is missing: name the directory in which the parties keep their state")
    return request.state


def deploy(request: RunRequest, progress: Progress) -> tuple[Job, Outcome]:
    """Give every party its part of the model, or find that it has it.

    Raises:
        PehealthError, TransportError: it cannot be done, or another model is deployed there.
    """
    state_of(request)
    job = resolve_deployment(request)

    async def drive(job: Job, crew: Crew, now: Callable[[], float], progress: Progress) -> Outcome:
        return await kept_conductor(job, crew, now, progress).deploy()

    names = party_names(job.plan.parameters, dealer=request.dealer)
    keepers = tuple(name for name in names if not name.startswith(Party.HMS))
    return job, perform_job(job, progress, Session(keepers, drive))


def deal(request: RunRequest, count: int, progress: Progress) -> tuple[Job, Outcome]:
    """Deal material for `count` queries into both servers' stores. The model's owner is not needed.

    Raises:
        PehealthError, TransportError: it cannot be done, or nothing is deployed there.
    """
    state_of(request)
    job = resolve_deployment(request)

    async def drive(job: Job, crew: Crew, now: Callable[[], float], progress: Progress) -> Outcome:
        return await kept_conductor(job, crew, now, progress).deal_ahead(count)

    names = (*map(str, SERVERS), str(dealer_of(request.dealer)))
    return job, perform_job(job, progress, Session(names, drive, owner=False))


def deal_to_files(request: RunRequest, count: int, directory: Path, progress: Progress) -> tuple[Path, ...]:
    """Deal material for `count` queries into a file a server; only the dealer's folder is opened.

    Raises:
        PehealthError: nothing is deployed there.
    """
    dealer, job = str(dealer_of(request.dealer)), resolve_deployment(request)
    parameters, network = job.plan.parameters, job.model.network
    engine = masked_engine(parameters)
    plan = material_plan(network, parameters, engine)
    with closing(_deployment(state_of(request), dealer)) as kept, ExitStack() as stack:
        secrets = {}
        for placed in network.linear_layers:
            blob = kept.part(secret_part(placed))
            secrets[placed.index] = engine.load_secret(
                placed.linear, Record.unpack(engine.secret_layout(placed.linear), blob)
            )
        indices, folder = kept.allot(count), private_folder(directory)
        paths = tuple(folder / f"{server}-{indices[0]}-{indices[-1]}.material" for server in SERVERS)
        writers = []
        for server, path in zip(SERVERS, paths, strict=True):
            header = Header(kept.digest, server, indices[0], count, plan.record_bytes(server))
            writers.append(stack.enter_context(MaterialWriter(path, header)))
        for done in range(1, count + 1):
            for writer, record in zip(writers, deal_query(plan, secrets, Prg.system()), strict=True):
                writer.add(record)
            progress("dealing material", done, count)
    return paths


def import_file(state: Path, file: Path) -> tuple[Party, int]:
    """Add a file of material to the store of the server that it is for; return which, and how many queries.

    Raises:
        MaterialError: the file is another deployment's, damaged, cut short, or was imported before.
        ConfigError: it cannot be read, or nothing is deployed there.
    """
    try:
        source = file.open("rb")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    with source:
        party = read_header(source).party
        source.seek(0)
        with closing(_deployment(state, party)) as kept:
            path = party_folder(state, party) / MATERIAL
            with closing(MaterialStore.open_or_create(path, kept.digest, party)) as store:
                return party, store.import_file(source)


def _deployment(state: Path, party: str) -> Deployment:
    found = Deployment.find(party_folder(state, party), party)
    if found is None or not found.committed:
        raise ConfigError(f"nothing is deployed in {party_folder(state, party)}: pehealth deploy first")
    return found
