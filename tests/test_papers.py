"""Every [KEY] in a docstring resolves in the citation table."""

import re
from pathlib import Path

from pehealth.papers import PAPERS

ROOT = Path(__file__).parent.parent
KEY = re.compile(r"\[([A-Z][A-Za-z0-9-]*\d{2}[a-z]?|RFC\d+|FIPS\d+|SP800-[0-9A-Z]+)\]")


def test_every_citation_resolves() -> None:
    cited = {
        (key, path.name)
        for package in ("pehealth", "parties", "transport")
        for path in (ROOT / package).rglob("*.py")
        for key in KEY.findall(path.read_text())
    }
    assert cited, "the pattern finds nothing"
    assert {(k, f) for k, f in cited if k not in PAPERS} == set()
