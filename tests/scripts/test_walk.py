"""The page of a deployment is a script: what is read from it, and that its settings go together."""

from __future__ import annotations

import tomllib

import pytest
from walk import PAGE, Step, loopback_addresses, machines_of, steps_of

from parties.cli import COMMANDS, GROUPS

EXAMPLE = """
```console
ca$ pehealth keys init --dir keys      # makes it
keys has an authority
# carry a.pem b.pem: ca -> e1 e2
e1$ two \\
  lines
# stop: e1 e2
```

`E1.toml` on `e1`, say:

```toml
party = "E1"
```

```toml
not = "for a file"
```
"""


def test_every_kind_of_step_is_read():
    assert steps_of(EXAMPLE) == [
        Step("run", "ca", "pehealth keys init --dir keys"),
        Step("carry", "ca", "a.pem b.pem", ("e1", "e2")),
        Step("run", "e1", "two    lines"),
        Step("stop", "", "", ("e1", "e2")),
        Step("write", "e1", 'party = "E1"\n', ("E1.toml",)),
    ]
    assert machines_of(steps_of(EXAMPLE)) == ("ca", "e1", "e2")


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return steps_of(PAGE.read_text())


def test_the_page_uses_commands_that_there_are(steps):
    words = [step.text.removeprefix("! ").split() for step in steps if "pehealth " in step.text]
    used = {w[1] for w in words if w[0] == "pehealth"}
    assert {"serve", "deploy", "infer", "retire", "status", "deal", "check", "keys"} <= used
    assert used <= COMMANDS.keys() | GROUPS.keys()


def test_its_files_are_settings_of_one_deployment(steps):
    files = {step.to[0]: tomllib.loads(step.text) for step in steps if step.kind == "write"}
    assert {name: table["party"] for name, table in files.items()} == {
        f"{party}.toml": party for party in ("E1", "E2", "HC", "HMS1")
    }
    assert len({table["deployment"] for table in files.values()}) == 1


def test_on_the_loopback_every_address_is_replaced():
    page = PAGE.read_text()
    known = loopback_addresses(page)
    for address, real in known.items():
        page = page.replace(address, real)
    assert "example.org:" not in page
    assert '"0.0.0.0:' not in page
