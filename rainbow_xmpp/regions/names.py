"""The keyed hashes by which regions ask each other for people, so that no name stands in a question.

All regions share the key. A region can still try names that it knows: this keeps names out of what is sent and logged,
it does not make them secret from another region.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from rainbow_xmpp.config.secret import Secret

HASH_BYTES = 16


class NamesKey:
    """One key, and what it is called where its hashes are kept."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret.reveal().encode()
        self.id = hashlib.sha256(b"names key\0" + self._secret).hexdigest()[:8]

    def hash(self, name: str) -> bytes:
        """Of a localpart, or of an e-mail address, as it is kept: in normal form."""
        return hmac.digest(self._secret, name.encode(), "sha256")[:HASH_BYTES]


def names_keys(current: Secret, old: Sequence[Secret] = ()) -> tuple[NamesKey, ...]:
    """The key to ask with, and those under which questions are still understood."""
    return tuple(NamesKey(secret) for secret in (current, *old) if secret.reveal())
