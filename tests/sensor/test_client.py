"""A sensor against three parties over TCP: what it sends adds up, what they refuse is said, no wait is for ever."""

import datetime as dt
import sys
import time

import pytest
import trio
import trustme

from pehealth.errors import ConfigError, RangeError
from pehealth.sensor import client, link
from pehealth.sensor.client import Refused, Sensor
from pehealth.sensor.settings import SensorSettings
from transport.certificates import Authority, Span, serial_of
from transport.credentials import TlsFiles
from transport.errors import PeerAbort, PeerLost, PeerTimeout, TlsFailed
from transport.tls import Tls


def sensor_of(service, tls=None, seconds: float = 20.0, **options) -> Sensor:
    settings = SensorSettings("HMS1", service.deployment, dict(service.addresses), tls, seconds)
    return Sensor(settings, **options)


def refusal(party: str, kind: str, text: str, times: int = 1000):
    """Return what refuses the first queries of one party."""
    left = [None] * times

    def refuse(asked: str, ask: str, _index: int):
        return (kind, text) if (asked, ask) == (party, "submit") and left and not left.pop() else None

    return refuse


async def submit(sensor: Sensor, *samples):
    def work():
        with sensor:
            return [sensor.submit(sample) for sample in samples]

    return await trio.to_thread.run_sync(work)


async def test_the_shares_of_a_reading_add_up_and_the_answer_comes_back(serve, new_service) -> None:
    async with serve(new_service()) as service:
        first, second = await submit(sensor_of(service), [100, 0, 200], [1, 2, 3])
    # The parties here add the shares up, so what comes back as logits is the readings, from 0 to 1.
    assert (first.logits, first.class_index, first.label) == ((0.5, 0.0, 1.0), 2, "unsure")
    assert second.logits == (0.005, 0.01, 0.015)
    assert (first.error_bound, first.digits) == (0.0005, 4)
    assert (first.query, second.query) == (100, 101)
    assert (first.model, first.version, first.retries) == ("clinic", 3, 0)
    assert service.asked["HC", "lease"] == service.asked["HC", "models"] == 1
    assert service.shares[100]["E1"].tolist() != service.shares[101]["E1"].tolist()


async def test_a_sensor_that_is_told_nothing_has_a_receipt(serve, new_service) -> None:
    async with serve(new_service(tells=False)) as service:
        (receipt,) = await submit(sensor_of(service), [100, 0, 200])
    assert (receipt.query, receipt.logits, receipt.class_index, receipt.label) == (100, None, None, None)


async def test_bytes_are_counted(serve, new_service) -> None:
    sensor = sensor_of(new_service())
    async with serve(new_service()) as service:
        sensor = sensor_of(service)
        await submit(sensor, [1, 2, 3])
    # A greeting to each of four, four requests and a request of models, a seed, 2 * 3 words of 40 bits, goodbyes.
    assert 500 < sensor.sent < 1500
    assert 500 < sensor.received < 2500


async def test_readings_that_cannot_be_encoded_spend_no_number(serve, new_service) -> None:
    async with serve(new_service()) as service:
        for sample, error in (([201, 0, 0], RangeError), ([float("nan")] * 3, RangeError), ([1, 2], ConfigError)):
            with pytest.raises(error):
                await submit(sensor_of(service), sample)
    assert service.asked["HC", "lease"] == 0


async def test_a_query_that_fails_is_tried_again_under_another_number_and_other_shares(serve, new_service) -> None:
    def refuse(party: str, ask: str, index: int):
        return ("MaterialError", "E2: index 100 is spent") if (party, ask, index) == ("E2", "submit", 100) else None

    async with serve(new_service(refuse=refuse)) as service:
        (receipt,) = await submit(sensor_of(service), [1, 2, 3])
    # Of a lease of sixteen the rest is not tried: what burnt one number has burnt its neighbours, too.
    assert (receipt.query, receipt.retries) == (116, 1)
    assert service.asked["HC", "give_up"] == 1
    # The centre can tell that both are the same request.
    assert service.requests[0] == service.requests[1]
    assert service.shares[100]["E1"].tolist() != service.shares[116]["E1"].tolist()


async def test_the_last_failure_is_told_after_the_last_try(serve, new_service) -> None:
    refuse = refusal("E1", "PeerLost", "the link to E2 broke")
    async with serve(new_service(refuse=refuse)) as service:
        with pytest.raises(Refused, match=r"^E1: the link to E2 broke$") as caught:
            await submit(sensor_of(service, retries=1), [1, 2, 3])
    assert (caught.value.kind, caught.value.exit_code) == ("PeerLost", 3)
    assert service.asked["E1", "submit"] == 2


async def test_no_other_number_is_spent_where_none_would_help(serve, new_service) -> None:
    refuse = refusal("E1", "ConfigError", "not for you")
    async with serve(new_service(refuse=refuse)) as service:
        with pytest.raises(Refused, match="not for you"):
            await submit(sensor_of(service), [1, 2, 3])
    assert service.asked["E1", "submit"] == 1


async def test_a_model_that_is_retired_is_looked_up_anew(serve, new_service) -> None:
    refuse = refusal("E1", "Draining", "the model is being retired", times=1)
    async with serve(new_service(refuse=refuse)) as service:
        (receipt,) = await submit(sensor_of(service), [1, 2, 3])
    assert receipt.retries == 1
    assert service.asked["HC", "models"] == 2


async def test_a_party_that_starts_late_is_waited_for(serve, new_service) -> None:
    service = new_service(addresses=dict.fromkeys(("HC", "E1", "E2"), "127.0.0.1:9"))
    sensor, tried = sensor_of(service), trio.Event()
    portal = trio.lowlevel.current_trio_token()
    connect = sensor._connect

    def connect_and_tell(until: float):
        try:
            return connect(until)
        except PeerLost:
            portal.run_sync_soon(tried.set)
            raise

    sensor._connect = connect_and_tell
    receipts = []
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            receipts.extend(await submit(sensor, [1, 2, 3]))
            nursery.cancel_scope.cancel()

        nursery.start_soon(run)
        await tried.wait()
        async with serve(new_service()) as started:
            sensor.settings.peers.update(started.addresses)
            await trio.sleep_forever()
    assert receipts[0].retries == 0


async def test_a_busy_server_is_asked_again_under_the_same_number(serve, new_service) -> None:
    refuse = refusal("E2", "Busy", "busy", times=2)
    async with serve(new_service(refuse=refuse)) as service:
        (receipt,) = await submit(sensor_of(service), [1, 2, 3])
    assert (receipt.query, receipt.retries) == (100, 0)
    assert service.asked["E2", "submit"] == 3
    assert service.asked["E1", "submit"] == 1


async def test_a_party_that_never_answers_costs_the_deadline_and_no_more(serve, new_service) -> None:
    async with serve(new_service(silent={"E2"})) as service:
        began = time.monotonic()
        with pytest.raises(PeerTimeout, match="no answer from"):
            await submit(sensor_of(service, seconds=0.5), [1, 2, 3])
    assert time.monotonic() - began >= 0.5


async def test_who_is_not_there_or_of_another_deployment_is_named(serve, new_service) -> None:
    service = new_service(addresses=dict.fromkeys(("HC", "E1", "E2"), "127.0.0.1:9"))
    with pytest.raises(PeerLost, match=r"HC at 127.0.0.1:9 cannot be reached: connection refused"):
        await submit(sensor_of(service, seconds=1, retries=0), [1, 2, 3])
    async with serve(new_service()) as service:
        service.deployment, sensor = "south", sensor_of(service)
        stranger = type(service)(addresses=service.addresses)
        with pytest.raises(PeerAbort, match="HC has no deployment north-clinic"):
            await submit(sensor_of(stranger, retries=0, seconds=0.5), [1, 2, 3])
        service.card["settings"] = "cd"
        sensor = sensor_of(service, retries=0)
        sensor._wanted = ("dermatology", None)
        with pytest.raises(ConfigError, match="HC does not have dermatology; it has clinic version 3"):
            await submit(sensor, [1, 2, 3])


@pytest.fixture
def issue(tmp_path):
    authority = trustme.CA()

    def make(name: str, by: trustme.CA = authority) -> TlsFiles:
        folder = tmp_path / f"{name}-{id(by)}"
        folder.mkdir(exist_ok=True)
        issued = by.issue_cert(name)
        files = TlsFiles(folder / "own.pem", folder / "own.key", folder / "authority.pem")
        issued.cert_chain_pems[0].write_to_path(files.certificate)
        issued.private_key_pem.write_to_path(files.key)
        authority.cert_pem.write_to_path(files.authority)
        return files

    return make


async def test_over_mutual_tls(serve, new_service, issue) -> None:
    async with serve(new_service(), {p: Tls(issue(p)) for p in ("HC", "E1", "E2")}) as service:
        (receipt,) = await submit(sensor_of(service, issue("HMS1")), [100, 0, 200])
        assert receipt.logits == (0.5, 0.0, 1.0)
        with pytest.raises(TlsFailed, match=r"TLS with HC: our certificate .* was not issued by its authority"):
            await submit(sensor_of(service, issue("HMS1", trustme.CA()), retries=0), [1, 2, 3])
        with pytest.raises(PeerAbort, match=r"(?i)its certificate names hms2"):
            await submit(sensor_of(service, issue("HMS2"), retries=0, seconds=0.5), [1, 2, 3])
        with pytest.raises((PeerLost, TlsFailed)):
            await submit(sensor_of(service, None, retries=0, seconds=0.5), [1, 2, 3])
        service.addresses["HC"], service.addresses["E1"] = service.addresses["E1"], service.addresses["HC"]
        with pytest.raises(TlsFailed, match=r"(?i)TLS with HC: its certificate names e1"):
            await submit(sensor_of(service, issue("HMS1"), retries=0), [1, 2, 3])


async def test_a_party_without_tls_is_told_apart(serve, new_service, issue) -> None:
    async with serve(new_service()) as service:
        with pytest.raises(TlsFailed, match="TLS with HC: "):
            await submit(sensor_of(service, issue("HMS1"), retries=0), [1, 2, 3])


async def test_links_that_broke_are_made_anew_and_the_lease_is_asked_for_again(serve, new_service) -> None:
    async with serve(new_service()) as service:
        sensor = sensor_of(service)

        def work():
            with sensor:
                sensor.submit([1, 2, 3])
                for link in sensor._links.values():
                    link.drop()
                return sensor.submit([1, 2, 3])

        receipt = await trio.to_thread.run_sync(work)
    assert service.asked["HC", "lease"] == 2
    assert receipt.retries == 1


async def test_links_that_were_silent_for_long_are_made_anew(serve, new_service, monkeypatch) -> None:
    async with serve(new_service()) as service:
        await submit(sensor_of(service), [1, 2, 3], [1, 2, 3])
        assert service.callers.count("HMS1 to E1") == 1
        monkeypatch.setattr(client, "STALE_SECONDS", 0.0)
        receipts = await submit(sensor_of(service), [1, 2, 3], [1, 2, 3])
    assert service.callers.count("HMS1 to E1") == 3
    assert [receipt.retries for receipt in receipts] == [0, 0]


async def test_it_shows_that_it_is_there_while_it_waits(serve, new_service, monkeypatch) -> None:
    monkeypatch.setattr(client, "KEEPALIVE_SECONDS", 0.05)
    async with serve(new_service(silent={"E2"})) as service:
        sensor = sensor_of(service, seconds=0.5, retries=0)
        shown = []
        monkeypatch.setattr(link.Link, "keep_alive", lambda self, _until: shown.append(self.peer))
        with pytest.raises(PeerTimeout):
            await submit(sensor, [1, 2, 3])
    assert {"HC", "E1", "E2"} <= set(shown)


async def test_a_revoked_server_is_refused(serve, new_service, tmp_path) -> None:
    now = dt.datetime.now(dt.UTC)
    authority = Authority.create(Span.days(now, 1))
    issued = {name: authority.issue(name, Span.days(now, 1)) for name in ("HC", "E1", "E2", "HMS1")}

    def files(name: str, *, gone: str) -> TlsFiles:
        found = TlsFiles(*(tmp_path / f"{name}{end}" for end in (".pem", ".key", ".ca", ".revoked")))
        revoked = {serial_of(issued[gone].certificate): now} if gone else {}
        for path, data in zip(
            (found.certificate, found.key, found.authority, found.revoked),
            (issued[name].certificate, issued[name].key, issued[name].authority, authority.revocations(revoked, now)),
            strict=True,
        ):
            path.write_bytes(data)
        return found

    async with serve(new_service(), {p: Tls(files(p, gone="")) for p in ("HC", "E1", "E2")}) as service:
        assert len(await submit(sensor_of(service, files("HMS1", gone="")), [1, 2, 3])) == 1
        with pytest.raises(TlsFailed, match="TLS with E1: its certificate was revoked"):
            await submit(sensor_of(service, files("HMS1", gone="E1")), [1, 2, 3])


def test_settings_list_every_problem(tmp_path) -> None:
    file = tmp_path / "HMS1.toml"
    file.write_text('party = "E1"\n[peers]\nE1 = "nowhere"\nHC = "a:1"\n[deadlines]\nquery = 0\n')
    with pytest.raises(ConfigError) as caught:
        SensorSettings.load(file)
    shown = "; ".join(caught.value.problems)
    for part in ("party: ", "deployment: ", "[peers] E1: expected an address", "[peers] E2: its address", "[tls] key",
                 "[deadlines] query"):  # fmt: skip
        assert part in shown
    head = 'party = "HMS1"\ndeployment = "north"\npeers = {E1="a:1",E2="b:1",HC="c:1"}\n'
    file.write_text(head + '[tls]\ncertificate="c"\nkey="k"\nauthority="a"\n')
    settings = SensorSettings.load(file)
    assert settings.tls == TlsFiles(tmp_path / "c", tmp_path / "k", tmp_path / "a")
    with pytest.raises(ConfigError, match="cannot be read"):
        SensorSettings.load(tmp_path / "none.toml")


async def test_neither_numpy_nor_trio_nor_gmpy2_is_imported(serve, new_service, tmp_path) -> None:
    """In a process of its own, which also sends a query."""
    async with serve(new_service()) as service:
        peers = ", ".join(f'{name} = "{address}"' for name, address in service.addresses.items())
        file = tmp_path / "HMS1.toml"
        file.write_text(
            f'party = "HMS1"\ndeployment = "north-clinic"\npeers = {{{peers}}}\ntls = {{insecure_plain = true}}\n'
        )
        code = (
            "import sys; from pathlib import Path; from pehealth.sensor.client import Sensor\n"
            f"with Sensor.load(Path({str(file)!r})) as sensor: print(sensor.submit([100, 0, 200]).logits)\n"
            "print(sorted({'numpy', 'trio', 'gmpy2', 'rich', 'cyclopts', 'asyncio'} & set(sys.modules)))"
        )
        done = await trio.run_process([sys.executable, "-c", code], capture_stdout=True)
    assert done.stdout.decode().splitlines() == ["(0.5, 0.0, 1.0)", "[]"]
