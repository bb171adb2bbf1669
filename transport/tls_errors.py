"""What a failed TLS handshake means, in a sentence that says which end has to do what."""

from __future__ import annotations

import datetime as dt
import ssl

from transport.credentials import Credentials

_BY_DATE = ("certificate has expired", "ALERT_CERTIFICATE_EXPIRED", "ALERT_BAD_CERTIFICATE")
_FOREIGN = "was not issued by {whose} authority: use one authority for all parties"
_REASONS = {
    "certificate is not yet valid": "its certificate is not valid yet: is a clock wrong?",
    "self-signed certificate": f"its certificate {_FOREIGN.format(whose='our')}",
    "self signed certificate": f"its certificate {_FOREIGN.format(whose='our')}",
    "unable to get local issuer": f"its certificate {_FOREIGN.format(whose='our')}",
    "certificate signature failure": f"its certificate {_FOREIGN.format(whose='our')}",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate: give every party one",
    "CERTIFICATE_REQUIRED": "it demands a certificate and we showed none: give every party one",
    "ALERT_UNKNOWN_CA": f"{{ours}} {_FOREIGN.format(whose='its')}",
    "ALERT_DECRYPT_ERROR": f"{{ours}} {_FOREIGN.format(whose='its')}",
    "ALERT_CERTIFICATE_REVOKED": "{ours} was revoked: issue a new one",
    "WRONG_VERSION_NUMBER": "it does not speak TLS: start all parties with TLS or all without",
    "HTTP_REQUEST": "it does not speak TLS but HTTP",
    "UNSUPPORTED_PROTOCOL": "it speaks only versions of TLS before 1.3",
    "ALERT_PROTOCOL_VERSION": "it speaks only versions of TLS before 1.3",
}


def explain(error: ssl.SSLError, credentials: Credentials) -> str:
    """Return what a TLS failure means and what to do about it."""
    text = f"{error.reason} {error}"
    if any(sign in text for sign in _BY_DATE):
        return _by_date(text, credentials)
    for sign, meaning in _REASONS.items():
        if sign in text:
            return meaning.format(ours=credentials.ours)
    return str(error.reason or error)


def _by_date(text: str, credentials: Credentials) -> str:
    """Say which certificate's dates are not right; the alert for one that is not valid yet tells no more than "bad"."""
    theirs = "its certificate has expired: issue a new one"
    try:
        own, authority = credentials.spans()
    except (OSError, ValueError) as error:
        return theirs if "certificate has expired" in text else f"it does not take {credentials.ours}: {error}"
    from transport.certificates import moment

    now = dt.datetime.now(dt.UTC)
    if authority.end < now:
        return f"our authority's certificate has expired on {moment(authority.end)}: make a new authority"
    if "certificate has expired" in text:
        return theirs
    if own.end < now:
        return f"{credentials.ours} has expired on {moment(own.end)}: issue a new one"
    if now < own.start:
        return f"{credentials.ours} is not valid before {moment(own.start)}: is a clock wrong?"
    valid = f"which by our clock is valid from {moment(own.start)} to {moment(own.end)}"
    return f"it does not take {credentials.ours}, {valid}: is its clock wrong?"
