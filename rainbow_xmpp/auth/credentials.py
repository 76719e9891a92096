"""SCRAM keys: what is stored instead of a password (RFC 5802 §3), and checking passwords against them.

`derive`, `check_password` and `check_imported` take milliseconds on purpose: call them through `HashPool`.
They let go of the interpreter lock while they work.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

import bcrypt
import precis_i18n
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from rainbow_xmpp.errors import RainbowError

SALT_BYTES = 16
MAX_PASSWORD_CHARS = 1024
"""The most that a policy can allow; preparing longer ones would take strangers' time from everybody."""
_BCRYPT_BYTES = 72

# PBKDF2 of the OpenSSL that comes with `cryptography` is twice as fast as that of Debian 12's, which hashlib uses.
_ALGORITHMS = {"sha256": hashes.SHA256(), "sha1": hashes.SHA1()}  # noqa: S303  # SCRAM-SHA-1
_SIZES = {"sha256": 32, "sha1": 20}

_opaque_string = precis_i18n.get_profile("OpaqueString")


class InvalidPassword(RainbowError, ValueError):
    """A password that holds characters which no client could be relied on to send the same way again."""

    def __init__(self) -> None:
        super().__init__("the password is empty or has characters that passwords cannot have")


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What SCRAM needs of one password for one hash function."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppKeys:
    """What SCRAM needs of an app password: one that the server made for one client.

    A client names an account and no password, and is told one salt: all passwords of an account have the main one's
    salts and iterations, and its proof fits one of them.
    """

    id: str
    """24 hex digits."""
    sha256: tuple[bytes, bytes] = field(repr=False)
    """StoredKey and ServerKey."""
    sha1: tuple[bytes, bytes] = field(repr=False)

    def keys(self, hash_name: str) -> tuple[bytes, bytes]:
        """Those for "sha256" or "sha1"."""
        return {"sha256": self.sha256, "sha1": self.sha1}[hash_name]


@dataclass(frozen=True, slots=True)
class Verifier:
    """One password's keys for SCRAM-SHA-256 and for SCRAM-SHA-1, each with a salt of its own; and app passwords'."""

    sha256: ScramKeys
    sha1: ScramKeys
    app_passwords: tuple[AppKeys, ...] = ()

    def keys(self, hash_name: str) -> ScramKeys:
        """The keys for "sha256" or "sha1"."""
        return {"sha256": self.sha256, "sha1": self.sha1}[hash_name]


def prepare(password: str) -> bytes:
    """The password's bytes as both ends hash them: PRECIS OpaqueString (RFC 8265 §4.2), then UTF-8.

    For what people type it agrees with the SASLprep of RFC 5802. Raises InvalidPassword.
    """
    if len(password) > MAX_PASSWORD_CHARS:
        raise InvalidPassword
    if password.isascii() and password.isprintable() and password:
        return password.encode()
    try:
        prepared: str = _opaque_string.enforce(password)
    except UnicodeError:
        raise InvalidPassword from None
    return prepared.encode()


def derive(password: str, iterations: int) -> Verifier:
    """Make the keys of a new password. Slow. Raises InvalidPassword."""
    prepared = prepare(password)
    return Verifier(_new_keys("sha256", prepared, iterations), _new_keys("sha1", prepared, iterations))


def check_password(verifier: Verifier, password: str) -> bool:
    """Whether the keys were made from this password, in constant time. Slow."""
    keys = verifier.sha256
    try:
        prepared = prepare(password)
    except InvalidPassword:
        prepared = b""  # matches no keys, and takes as long as any other wrong one
    stored, _ = _hash("sha256", prepared, keys.salt, keys.iterations)
    return hmac.compare_digest(stored, keys.stored_key)


def matching(verifier: Verifier, password: str) -> str | None:
    """Which password this is: "" for the main one, the id of an app password, None for neither. Slow.

    In constant time for an account with as many app passwords.
    """
    keys = verifier.sha256
    try:
        prepared = prepare(password)
    except InvalidPassword:
        prepared = b""  # as in `check_password`
    stored, _ = _hash("sha256", prepared, keys.salt, keys.iterations)
    found = None
    for app in verifier.app_passwords:
        if hmac.compare_digest(stored, app.sha256[0]):
            found = app.id
    return "" if hmac.compare_digest(stored, keys.stored_key) else found


def derive_app_keys(verifier: Verifier, id: str, password: str) -> AppKeys:
    """The keys of a new app password beside the main one's. Slow. Raises InvalidPassword."""
    prepared = prepare(password)
    made = {
        hash_name: _hash(hash_name, prepared, keys.salt, keys.iterations)
        for hash_name, keys in (("sha256", verifier.sha256), ("sha1", verifier.sha1))
    }
    return AppKeys(id, made["sha256"], made["sha1"])


def fake_keys(name: str, server_secret: bytes, iterations: int, hash_name: str) -> ScramKeys:
    """Keys for a name that nobody has: the same salt each time it is asked, and no password fits.

    `name` is the login name in the form it was looked up in, so that every spelling gets the same answer.
    """
    drawn = hmac.digest(server_secret, f"{hash_name} {name}".encode(errors="surrogatepass"), "sha512")
    size = hashlib.new(hash_name).digest_size
    server_key = hmac.digest(server_secret, drawn, "sha256")[:size]
    return ScramKeys(drawn[:SALT_BYTES], iterations, drawn[SALT_BYTES : SALT_BYTES + size], server_key)


def check_imported(imported_hash: str, password: str) -> bool:
    """Whether a bcrypt hash brought from another system was made from this password. Slow.

    Only the first 72 bytes count, as they did where the hash was made.
    """
    try:
        return bcrypt.checkpw(password.encode()[:_BCRYPT_BYTES], imported_hash.encode("ascii"))
    except ValueError:  # not a bcrypt hash, or a password with a NUL
        return False


def is_importable(imported_hash: str) -> bool:
    """Whether this looks like a bcrypt hash that `check_imported` understands."""
    parts = imported_hash.split("$")
    return (
        len(parts) == 4
        and parts[0] == ""
        and parts[1] in ("2a", "2b", "2y")
        and parts[2].isdigit()
        and 4 <= int(parts[2]) <= 31
        and len(parts[3]) == 53
    )


def _new_keys(hash_name: str, prepared: bytes, iterations: int) -> ScramKeys:
    salt = secrets.token_bytes(SALT_BYTES)
    return ScramKeys(salt, iterations, *_hash(hash_name, prepared, salt, iterations))


def _hash(hash_name: str, prepared: bytes, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """StoredKey and ServerKey (RFC 5802 §3)."""
    salted = PBKDF2HMAC(_ALGORITHMS[hash_name], _SIZES[hash_name], salt, iterations).derive(prepared)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    return hashlib.new(hash_name, client_key).digest(), hmac.digest(salted, b"Server Key", hash_name)
