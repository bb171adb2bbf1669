"""Links of a run: TLS with certificates of its own, each party holding its own key alone."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from cryptography import x509
from rich.console import Console

from parties.launch import run, start_all
from parties.links import carrier_of, make_identities
from parties.render import report
from parties.request import RunRequest, Transport
from parties.resolve import resolve
from parties.start import Start
from pehealth.config import Engine
from pehealth.nets.record import RunResult
from transport.tcp import Tcp
from transport.tls import Tls

NAMES = ("E1", "E2", "HC", "HMS1")


def quiet(_what: str, _at: int, _of: int) -> None:
    """No progress in a test."""


def test_each_party_gets_its_own_key_and_a_certificate_in_its_name() -> None:
    identities = make_identities(NAMES)
    assert len({identity.key for identity in identities.values()}) == len(NAMES)
    assert len({identity.authority for identity in identities.values()}) == 1
    for name, identity in identities.items():
        certificate = x509.load_pem_x509_certificate(identity.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [name]
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(identity.authority))


def test_two_runs_share_no_authority() -> None:
    assert make_identities(NAMES)["E1"].authority != make_identities(NAMES)["E1"].authority


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.PROCESSES])
def test_a_party_of_a_run_over_tcp_is_linked_by_tls_unless_refused(transport: Transport) -> None:
    request = RunRequest(engine=Engine.DEALT, transport=transport)
    starts = start_all(resolve(request))
    assert all(isinstance(carrier_of(start), Tls) for start in starts.values())
    again = Start.from_wire(starts["E1"].to_wire())
    assert again.identity == starts["E1"].identity
    assert "PRIVATE KEY" not in repr(again) + repr(again.identity)
    plain = start_all(resolve(RunRequest(engine=Engine.DEALT, transport=transport, tls=False)))
    assert all(type(carrier_of(start)) is Tcp for start in plain.values())


def test_tls_adds_nothing_to_what_is_counted_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    secured, plain = (
        run(RunRequest(engine=Engine.DEALT, transport=Transport.TCP, tls=tls), quiet) for tls in (None, False)
    )
    assert (secured.parameters.tls, plain.parameters.tls) == (True, False)
    for name, phase in secured.phases.items():
        assert phase.links == plain.phases[name].links == secured.planned.phases[name].links
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("transport", "tls", "words"),
    [
        ("memory", False, "transport memory;"),
        ("tcp", True, "tcp with TLS;"),
        ("processes", False, "processes WITHOUT TLS;"),
    ],
)
def test_a_report_says_whether_links_had_tls(
    transport: str, tls: bool, words: str, make_result: Callable[..., RunResult]
) -> None:
    result = make_result()
    parameters = dataclasses.replace(result.parameters, transport=transport, tls=tls)
    console = Console(file=StringIO(), width=200)
    report(console, dataclasses.replace(result, parameters=parameters), ())
    assert words in console.file.getvalue()  # type: ignore[attr-defined]
