"""Addresses of parties: "host:port" or "[ipv6]:port". No input or output here."""

from __future__ import annotations


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port. Raises ValueError saying what an address looks like."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 2**16):
        raise ValueError(f"expected an address such as 127.0.0.1:7001 or [::1]:7001, came {text!r}")
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """Return "host:port", with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
