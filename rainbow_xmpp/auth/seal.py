"""Sealing: credentials are encrypted under a key kept outside the database.

A copy of the database alone can then not be guessed from, and cannot pose as the server.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
from collections.abc import Mapping, Sequence
from typing import Self

from rainbow_xmpp.auth.box import Box, Lock
from rainbow_xmpp.auth.credentials import SALT_BYTES, AppKeys, ScramKeys, Verifier
from rainbow_xmpp.errors import RainbowError

KEY_BYTES = 32
_FORMAT = b"\x01"
_WITH_APP_PASSWORDS = b"\x02"
# For each hash function: iterations, salt, stored key, server key.
_LAYOUT = struct.Struct(f">I{SALT_BYTES}s32s32sI{SALT_BYTES}s20s20s")
_APP_LAYOUT = struct.Struct(">24s32s32s20s20s")
"""Behind it, for each app password: its id, and stored key and server key for each hash function."""


class SealError(RainbowError):
    """A sealed credential cannot be opened; says why in an administrator's words."""


class InvalidSealingKey(RainbowError, ValueError):
    """The configured text is no sealing key."""


class Sealer:
    """Seals under the current key, opens what any known key sealed."""

    def __init__(self, current: bytes, old: Sequence[bytes] = ()) -> None:
        """Raises InvalidSealingKey for a key of the wrong length."""
        if any(len(key) != KEY_BYTES for key in (current, *old)):
            raise InvalidSealingKey(f"a sealing key has {KEY_BYTES} bytes")
        self.key_id = key_id(current)
        self._locks = {key_id(key): Lock(key) for key in (*old, current)}
        self._keys = {key_id(key): key for key in (*old, current)}

    @classmethod
    def from_text(cls, current: str, old: Sequence[str] = ()) -> Self:
        """From keys as they are written down (`read_key`). Raises InvalidSealingKey."""
        return cls(
            _named("auth.sealing_key", current), [_named("auth.old_sealing_keys", text) for text in old]
        )

    def knows(self, key_id: str) -> bool:
        """Whether what was sealed under this key can be opened."""
        return key_id in self._locks

    def seal(self, verifier: Verifier, account_id: str) -> tuple[str, bytes]:
        """The key's id and the sealed keys, which open for this account only."""
        plain = b"".join(
            struct.pack(f">I{SALT_BYTES}s", keys.iterations, keys.salt) + keys.stored_key + keys.server_key
            for keys in (verifier.sha256, verifier.sha1)
        )
        plain += b"".join(
            _APP_LAYOUT.pack(app.id.encode(), *app.sha256, *app.sha1) for app in verifier.app_passwords
        )
        written = _WITH_APP_PASSWORDS if verifier.app_passwords else _FORMAT
        return self.key_id, written + self._locks[self.key_id].seal(plain, account_id)

    def open(self, key_id: str, blob: bytes, account_id: str) -> Verifier:
        """The keys sealed for this account. Raises SealError: unknown key, or not what was sealed."""
        lock = self._locks.get(key_id)
        if lock is None:
            raise SealError(
                f"the credentials of account {account_id} are sealed under the key {key_id}, "
                "which is neither auth.sealing_key nor among auth.old_sealing_keys"
            )
        if blob[:1] not in (_FORMAT, _WITH_APP_PASSWORDS):
            raise SealError(f"the credentials of account {account_id} are in a format of a newer version")
        plain = lock.open(blob[1:], account_id)
        if plain is None or not _is_whole(plain, blob[:1]):
            raise SealError(
                f"the credentials of account {account_id} were altered, or belong to another account"
            )
        fields = _LAYOUT.unpack_from(plain)
        apps = tuple(map(_app_keys, _APP_LAYOUT.iter_unpack(plain[_LAYOUT.size :])))
        return Verifier(_keys(fields[:4]), _keys(fields[4:]), apps)

    def opened(self, key_id: str, blob: bytes, account_id: str) -> bytes | None:
        """What `seal` sealed, to be sealed under the keys of another region; None when it does not open here."""
        lock = self._locks.get(key_id)
        plain = None if lock is None else lock.open(blob[1:], account_id)
        return None if plain is None or not _is_whole(plain, blob[:1]) else blob[:1] + plain

    def seal_opened(self, opened: bytes, account_id: str) -> tuple[str, bytes]:
        """The key's id and the same as `seal` would seal it. Raises SealError for what is none of ours."""
        if opened[:1] not in (_FORMAT, _WITH_APP_PASSWORDS) or not _is_whole(opened[1:], opened[:1]):
            raise SealError(
                f"the credentials of account {account_id} came in a format that is not known here"
            )
        return self.key_id, opened[:1] + self._locks[self.key_id].seal(opened[1:], account_id)

    def secret_for(self, purpose: str) -> bytes:
        """32 bytes for another purpose, the same on every node and after every restart with this key."""
        return self.secrets_for(purpose)[self.key_id]

    def secrets_for(self, purpose: str) -> Mapping[str, bytes]:
        """The same under every known key, by key id: what a secret was used for outlives the key.

        HKDF's second step (RFC 5869 §2.3) for one block; its first is for keys that are not random (§3.3).
        """
        label = f"rainbow-xmpp {purpose}".encode()
        return {id: hmac.digest(key, label, "sha256") for id, key in self._keys.items()}

    def box_for(self, purpose: str) -> Box:
        """Seals for another purpose, under these secrets."""
        return Box(self.secrets_for(purpose), self.key_id)


def new_key() -> str:
    """A new sealing key, as it is written into its file: base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def read_key(text: str) -> bytes:
    """A sealing key from base64 or hex digits. Raises InvalidSealingKey, which does not repeat the text."""
    text = "".join(text.split())
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text)
        key = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidSealingKey(f"a sealing key is {KEY_BYTES} random bytes as base64 or hex digits")
    return key


def _named(option: str, text: str) -> bytes:
    try:
        return read_key(text)
    except InvalidSealingKey as wrong:
        raise InvalidSealingKey(f"{option}: {wrong}") from None


def key_id(key: bytes) -> str:
    """What names a key without telling it: the first 8 hex digits of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:8]


def _is_whole(plain: bytes, written: bytes) -> bool:
    behind = len(plain) - _LAYOUT.size
    return behind >= 0 and behind % _APP_LAYOUT.size == 0 and (written == _WITH_APP_PASSWORDS) is (behind > 0)


def _app_keys(fields: Sequence[bytes]) -> AppKeys:
    id, *keys = fields
    return AppKeys(id.decode(), (keys[0], keys[1]), (keys[2], keys[3]))


def _keys(fields: Sequence[bytes | int]) -> ScramKeys:
    iterations, salt, stored_key, server_key = fields
    assert isinstance(iterations, int)
    assert isinstance(salt, bytes) and isinstance(stored_key, bytes) and isinstance(server_key, bytes)
    return ScramKeys(salt, iterations, stored_key, server_key)
