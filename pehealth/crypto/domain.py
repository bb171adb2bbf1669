"""Domain separation: tags and derived keys that no two uses share. Standard library alone."""

from __future__ import annotations

import hmac

KEY_BYTES = 32
_VERSION = b"pehealth-1"


def domain(*parts: str | int | bytes) -> bytes:
    """Return the domain separation tag of `parts`: length-prefixed, so no two lists share a tag."""
    encoded = [p if isinstance(p, bytes) else str(p).encode() for p in parts]
    return b"".join(len(p).to_bytes(4, "big") + p for p in (_VERSION, *encoded))


def child_key(key: bytes, *label: str | int | bytes) -> bytes:
    """Return the key that `key` and `label` determine, by HMAC-SHA-256 [RFC2104]."""
    return hmac.digest(key, domain("child", *label), "sha256")
