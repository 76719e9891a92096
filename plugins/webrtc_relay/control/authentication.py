"""Who signed a request: the long-term credential mechanism (RFC 8489 §9.2), without anything stored for strangers.

A nonce is `obMatJos2`, the security features, and base64 of its time and a keyed hash of that, the client's and our
address: valid for one client, for an hour at most, and remembered by nobody. User names are not anonymous (bit 1 is
off): to know a USERHASH one must keep every user name handed out, and these are pseudonyms already.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
from base64 import b64encode
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import NamedTuple

from rainbow_xmpp.plugins.webrtc_relay import stun
from rainbow_xmpp.plugins.webrtc_relay.control.faces import FiveTuple
from rainbow_xmpp.plugins.webrtc_relay.control.refusal import Refusal
from rainbow_xmpp.plugins.webrtc_relay.credentials import company_part, parse_username, password_of

COOKIE = b"obMatJos2"
PASSWORD_ALGORITHMS_BIT = 0x800000
"""Bit 0 is the leftmost of the 24 (RFC 8489 §18.1; the nonce of RFC 8656 §20)."""
FEATURES = b64encode(PASSWORD_ALGORITHMS_BIT.to_bytes(3, "big"))
_MD5, _SHA256 = b"\0\1\0\0", b"\0\2\0\0"
ALGORITHMS = _SHA256 + _MD5
"""The value of PASSWORD-ALGORITHMS, the better one first (§14.11)."""
_PREFIX = COOKIE + FEATURES
_NONCE_BYTES = len(_PREFIX) + 16
_HASH_BYTES = 8
_ALGORITHMS_ATTRIBUTE = stun.encoded(stun.PASSWORD_ALGORITHMS, ALGORITHMS)
_MOST_REMEMBERED = 8192
_MOST_REVOKED = 100_000


class Signer(NamedTuple):
    """Who signed a request, and how its answer is signed."""

    userid: str
    ends: int
    """When the credential ends, Unix seconds."""
    key: bytes
    sha256: bool


class Authentication:
    """Makes nonces and checks signatures."""

    def __init__(self, realm: str, secrets: Sequence[bytes], nonce_lifetime_s: int) -> None:
        self._nonce_hash = hashlib.blake2b(key=random.token_bytes(32), digest_size=_HASH_BYTES)
        self._seen: dict[bytes, tuple[FiveTuple, int]] = {}
        self._revoked: dict[str, float] = {}
        self.configure(realm, nonce_lifetime_s)
        self.set_secrets(secrets)

    def configure(self, realm: str, nonce_lifetime_s: int) -> None:
        """Another realm or lifetime: keys are made anew."""
        self._realm = realm
        self._realm_attribute = stun.REALM, realm.encode()
        self._challenge = stun.encoded(*stun.error_code(401)) + stun.encoded(*self._realm_attribute)
        self._nonce_lifetime_s = nonce_lifetime_s
        self._known: dict[tuple[bytes, bool], Signer] = {}

    def set_secrets(self, secrets: Sequence[bytes]) -> None:
        """Credentials made with any of these are good."""
        self._secrets = tuple(secrets)
        self._known = {}

    def revoke(self, who: str, until: float) -> None:
        """Credentials of this userid, or of this company, that end by `until` (Unix seconds) are void."""
        if len(self._revoked) >= _MOST_REVOKED:
            self._revoked.pop(next(iter(self._revoked)))
        self._revoked[who] = max(until, self._revoked.pop(who, 0))

    def forget_revoked(self, wall: float) -> None:
        """What was revoked until now has ended by itself."""
        for who in [who for who, until in self._revoked.items() if until < wall]:
            del self._revoked[who]

    def is_over(self, signer: Signer, wall: float, grace_s: int = 0) -> bool:
        """Has the credential ended, so long ago, or been revoked?"""
        if signer.ends + grace_s <= wall:
            return True
        revoked = self._revoked
        return bool(revoked) and signer.ends <= max(
            revoked.get(signer.userid, 0), revoked.get(company_part(signer.userid), 0)
        )

    def check(self, message: stun.Message, five_tuple: FiveTuple, now: float) -> Signer:
        """Who signed this, in the order of §9.2.4; for messages that are signed. Raises Refusal."""
        username, nonce = message.get(stun.USERNAME), message.get(stun.NONCE)
        if nonce is None or message.get(stun.REALM) is None:
            raise Refusal(400, "unauthenticated", stranger=True)
        if username is None:
            if message.get(stun.USERHASH) is None:
                raise Refusal(400, "unauthenticated", stranger=True)
            username = b""  # a USERHASH is the name of nobody here
        sha256_key, sha256_answer = self._algorithms(message, nonce)
        known = self._known.get((username, sha256_key))
        if known is None or not message.signed_with(known.key):
            known = self._find(message, username, sha256_key)
        if known is None:
            raise self.challenge(401, five_tuple, now)
        if not self._is_fresh(nonce, five_tuple, now):
            raise self.challenge(438, five_tuple, now)
        return known if known.sha256 == sha256_answer else known._replace(sha256=sha256_answer)

    def first_challenge(self, five_tuple: FiveTuple, now: float) -> bytes:
        """The attributes of the 401 for who has not signed, as they are in a message: most requests of strangers."""
        nonce = self._nonce_of(five_tuple, int(now).to_bytes(4, "big"))
        return self._challenge + stun.encoded(stun.NONCE, nonce) + _ALGORITHMS_ATTRIBUTE

    def challenge(self, code: int, five_tuple: FiveTuple, now: float) -> Refusal:
        """401, or 438 for a known user with an old nonce, whose address is as unproven: try again, with this nonce."""
        attributes = (
            self._realm_attribute,
            (stun.NONCE, self.nonce(five_tuple, now)),
            (stun.PASSWORD_ALGORITHMS, ALGORITHMS),
        )
        return Refusal(code, "unauthenticated" if code == 401 else "stale", attributes, stranger=True)

    def nonce(self, five_tuple: FiveTuple, now: float) -> bytes:
        """A nonce for this client."""
        return self._nonce_of(five_tuple, int(now).to_bytes(4, "big"))

    def _nonce_of(self, five_tuple: FiveTuple, time: bytes) -> bytes:
        (ip, port), (our_ip, our_port) = five_tuple.client, five_tuple.server
        hashed = self._nonce_hash.copy()
        hashed.update(time + f"{five_tuple.transport} {ip} {port} {our_ip} {our_port}".encode())
        return _PREFIX + b2a_base64(time + hashed.digest(), newline=False)

    def _is_fresh(self, nonce: bytes, five_tuple: FiveTuple, now: float) -> bool:
        """Is it ours, for this client, and not too old? What was seen to be right is not hashed again."""
        for_whom, made = self._seen.get(nonce, (None, 0))
        if for_whom != five_tuple:
            if len(nonce) != _NONCE_BYTES or not nonce.startswith(_PREFIX):
                return False
            try:
                time = a2b_base64(nonce[len(_PREFIX) :])[:4]
            except NotBase64:
                return False
            if not hmac.compare_digest(nonce, self._nonce_of(five_tuple, time)):
                return False
            if len(self._seen) >= _MOST_REMEMBERED:
                self._seen.clear()
            made = int.from_bytes(time, "big")
            self._seen[nonce] = five_tuple, made
        return now - made < self._nonce_lifetime_s

    def _algorithms(self, message: stun.Message, nonce: bytes) -> tuple[bool, bool]:
        """Is the key made by SHA-256, and is the answer signed by it? (§9.2.4, third point, and its end)"""
        one, offered = message.get(stun.PASSWORD_ALGORITHM), message.get(stun.PASSWORD_ALGORITHMS)
        if one is None and offered is None:
            return False, False
        if offered != ALGORITHMS or one not in (_MD5, _SHA256):
            # What we offered was taken away or changed on the way: a bid down.
            raise Refusal(400, "unauthenticated", stranger=True)
        return one == _SHA256, True

    def _find(self, message: stun.Message, username: bytes, sha256: bool) -> Signer | None:
        """Who signed the message; as much work for a name that was never issued as for one that was."""
        name = username.decode("utf-8", "surrogateescape")
        found = None
        for secret in self._secrets:
            key = stun.long_term_key(name, self._realm, password_of(secret, name), sha256=sha256)
            if message.signed_with(key):
                found = key
        issued = parse_username(name)
        if found is None or issued is None:
            return None
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        signer = self._known[username, sha256] = Signer(issued[1], issued[0], found, sha256)
        return signer
