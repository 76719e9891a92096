"""SASL as the server sees it (RFC 6120 §6): pure objects, bytes in and bytes out, no accounts and no I/O.

`Exchange` walks one attempt. It says what it needs (`FindKeys`, `CheckPassword`) and is told; the outcome is
`Challenge`, `Success` or `Failure`.
"""

from rainbow_xmpp.sasl.exchange import (
    Challenge,
    CheckPassword,
    CheckToken,
    Exchange,
    Failure,
    FailureCondition,
    FindKeys,
    Offer,
    Step,
    Success,
    decode,
    login_names,
)
from rainbow_xmpp.sasl.scram import OtherKeys

__all__ = [
    "Challenge",
    "CheckPassword",
    "CheckToken",
    "Exchange",
    "Failure",
    "FailureCondition",
    "FindKeys",
    "Offer",
    "OtherKeys",
    "Step",
    "Success",
    "decode",
    "login_names",
]
