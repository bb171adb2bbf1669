"""A party's settings: any text, and a settings file in which tables, keys and values are changed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from fuzzing.scratch import scratch_file
from fuzzing.target import Source, Target, demand
from parties.settings import load_settings
from pehealth.errors import ConfigError

_EXAMPLES = Path(__file__).parent.parent.parent / "docs" / "examples"
_NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_RAW, _LINES = 0, 1
_TABLES = ("[peers]", "[tls]", "[limits]", "[deadlines]", "[clients]", "[material]", "[operation]", "[[peers]]", "")
_KEYS = (
    "party", "deployment", "listen", "store", "E1", "E2", "HC", "DEALER", "HMS1", "insecure_plain", "certificate",
    "key", "authority", "revoked", "frame_bytes", "buffered_bytes", "silence", "keepalive", "message", "join",
    "greet", "low", "high", "query", "drain", "models", "in_flight", "requests", "tls.key", '""', '"a b"',
)  # fmt: skip
_VALUES = (
    '"E1"', '"E2"', '"HC"', '"calls"', '"127.0.0.1:9001"', '"[::1]:1"', '"x:99999"', '"a:b:c"', '":"', '""',
    '"north"', "true", "false", "0", "-1", "1", "65536", "1e400", "nan", "inf", "9223372036854775808", "10.5",
    "[]", "{}", "1979-05-27", '"é\\u0000"', '"E1.pem"', "[[]]", "{ a = 1 }", '"/dev/null"',
)  # fmt: skip


def run(data: bytes) -> None:
    """Load the settings; what loads is a party that can be started."""
    source = Source(data)
    text = source.rest() if source.below(2) == _RAW else _lines(source)
    with scratch_file(text, "E1.toml") as path:
        settings = load_settings(path, _NOW)
    limits = settings.limits
    demand(0 < limits.keepalive_seconds < limits.silence_seconds, "limits that cannot work were taken")
    demand(limits.frame_bytes >= 2**16 and limits.buffered_bytes >= 2**16, "limits below the least were taken")
    called, calling = settings.links(settings.peers)
    demand(set(called) | set(calling) == set(settings.peers), "a peer that nobody calls")
    demand(settings.listen or not called, "a peer is to call us, and we do not listen")


def _lines(source: Source) -> bytes:
    lines = ['party = "E1"', 'deployment = "north"', 'listen = "127.0.0.1:9001"'][: source.below(4)]
    for _ in range(source.below(24)):
        if source.below(4) == 0:
            lines.append(_TABLES[source.below(len(_TABLES))])
        else:
            lines.append(f"{_KEYS[source.below(len(_KEYS))]} = {_VALUES[source.below(len(_VALUES))]}")
    return "\n".join(lines).encode()


def seeds() -> list[bytes]:
    """The examples of docs/deployment.md, the same without TLS, and a few built ones."""
    texts = [path.read_text() for path in sorted(_EXAMPLES.glob("*.toml"))]
    plain = [text.split("[tls]")[0] + "[tls]\ninsecure_plain = true\n" for text in texts]
    built = [bytes((_LINES, 3, 12, 0, 0, 1, 5, 4, 1, 6, 4, 0, 1, 1, 9, 11, n)) + bytes(n) for n in range(6)]
    return [bytes((_RAW,)) + text.encode() for text in (*texts, *plain)] + built


TARGET = Target("settings", run, (ConfigError,), seeds, most_bytes=4096)
