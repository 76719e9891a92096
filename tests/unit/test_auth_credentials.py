"""SCRAM keys and their sealing."""

import base64
import hashlib
import hmac

import bcrypt
import pytest

from rainbow_xmpp.auth.credentials import (
    InvalidPassword,
    ScramKeys,
    Verifier,
    check_imported,
    check_password,
    derive,
    fake_keys,
    is_importable,
    prepare,
)
from rainbow_xmpp.auth.seal import (
    InvalidSealingKey,
    Sealer,
    SealError,
    key_id,
    new_key,
    read_key,
)

SECRET = b"s" * 32
ROUNDS = 4096


def proof_matches(keys: ScramKeys, hash_name: str, message: str, proof: str) -> bool:
    """The server's check of RFC 5802 §3."""
    signature = hmac.digest(keys.stored_key, message.encode(), hash_name)
    client_key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
    return hashlib.new(hash_name, client_key).digest() == keys.stored_key


@pytest.mark.parametrize(
    ("hash_name", "salt", "message", "proof", "signature"),
    [
        (
            "sha1",
            "QSXCR+Q6sek8bf92",
            "n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,"
            "s=QSXCR+Q6sek8bf92,i=4096,c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j",
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
        (
            "sha256",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,"
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
    ],
    ids=["RFC 5802 §5", "RFC 7677 §3"],
)
def test_keys_are_those_of_the_rfcs_examples(
    monkeypatch: pytest.MonkeyPatch, hash_name: str, salt: str, message: str, proof: str, signature: str
) -> None:
    monkeypatch.setattr("secrets.token_bytes", lambda _: base64.b64decode(salt))
    keys = derive("pencil", ROUNDS).keys(hash_name)
    assert proof_matches(keys, hash_name, message, proof)
    assert base64.b64encode(hmac.digest(keys.server_key, message.encode(), hash_name)).decode() == signature


def test_only_the_password_fits_its_keys() -> None:
    verifier = derive("Correct-horse1", ROUNDS)
    assert check_password(verifier, "Correct-horse1")
    assert not check_password(verifier, "correct-horse1")
    assert not check_password(verifier, "Correct-horse1 ")
    assert not check_password(verifier, "")
    assert not check_password(verifier, "a\0b")


def test_each_hash_of_each_password_has_its_own_salt() -> None:
    first, second = derive("Correct-horse1", ROUNDS), derive("Correct-horse1", ROUNDS)
    salts = {keys.salt for v in (first, second) for keys in (v.sha256, v.sha1)}
    assert len(salts) == 4
    assert {len(salt) for salt in salts} == {16}
    assert (first.sha256.iterations, first.sha1.iterations) == (ROUNDS, ROUNDS)


@pytest.mark.parametrize(
    ("typed", "same"),
    [("pässwörd", "pa\u0308sswo\u0308rd"), ("a\u00a0b", "a b"), ("a\u3000b", "a b")],
    ids=["composed and not", "no-break space", "ideographic space"],
)
def test_one_password_typed_on_two_keyboards_is_one_password(typed: str, same: str) -> None:
    assert prepare(typed) == prepare(same)
    assert check_password(derive(typed, ROUNDS), same)


@pytest.mark.parametrize("password", ["", "a\0b", "a\tb", "\x7f", "\u0085", "ä" * 1025])
def test_what_no_password_can_have_is_refused(password: str) -> None:
    with pytest.raises(InvalidPassword):
        derive(password, ROUNDS)


def test_an_unknown_name_has_the_same_salt_each_time_and_no_password() -> None:
    first = fake_keys("alice", SECRET, 10_000, "sha256")
    assert first == fake_keys("alice", SECRET, 10_000, "sha256")
    assert (len(first.salt), first.iterations) == (16, 10_000)
    assert (len(first.stored_key), len(first.server_key)) == (32, 32)
    others = [
        fake_keys("bob", SECRET, 10_000, "sha256"),
        fake_keys("alice", SECRET, 10_000, "sha1"),
        fake_keys("alice", b"x" * 32, 10_000, "sha256"),
    ]
    assert len({first.salt, *(keys.salt for keys in others)}) == 4
    sha1 = others[1]
    assert (len(sha1.salt), len(sha1.stored_key), len(sha1.server_key)) == (16, 20, 20)
    assert not check_password(Verifier(fake_keys("alice", SECRET, ROUNDS, "sha256"), sha1), "")


def test_keys_do_not_show_themselves() -> None:
    verifier = derive("Correct-horse1", ROUNDS)
    shown = repr(verifier) + str(verifier)
    assert "stored_key" not in shown
    assert repr(verifier.sha256.stored_key) not in shown


def test_an_imported_hash_is_checked_as_its_old_home_did() -> None:
    made = bcrypt.hashpw(b"Old-password1", bcrypt.gensalt(4)).decode()
    assert check_imported(made, "Old-password1")
    assert check_imported(made.replace("$2b$", "$2y$"), "Old-password1")
    assert not check_imported(made, "old-password1")
    assert not check_imported("nonsense", "Old-password1")
    assert not check_imported("ünsinn", "Old-password1")
    long = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert check_imported(long, "x" * 100)
    assert not check_imported(long, "x" * 71)


def test_only_bcrypt_hashes_can_be_imported() -> None:
    made = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
    assert is_importable(made)
    for wrong in ("", "x", made[:-1], made.replace("2b", "2x"), "$1$abc$def", "$2b$99$" + "a" * 53):
        assert not is_importable(wrong)


# -- sealing -------------------------------------------------------------------------------------------

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return derive("Correct-horse1", ROUNDS)


def test_what_was_sealed_opens_again(verifier: Verifier) -> None:
    used, blob = Sealer(KEY).seal(verifier, "account")
    assert used == key_id(KEY) == hashlib.sha256(KEY).hexdigest()[:8]
    assert Sealer(KEY).open(used, blob, "account") == verifier
    for keys in (verifier.sha256, verifier.sha1):
        assert keys.stored_key not in blob
        assert keys.salt not in blob


def test_sealing_twice_gives_different_bytes(verifier: Verifier) -> None:
    assert Sealer(KEY).seal(verifier, "account") != Sealer(KEY).seal(verifier, "account")


def test_an_old_key_opens_and_the_new_one_seals(verifier: Verifier) -> None:
    used, blob = Sealer(KEY).seal(verifier, "account")
    rotated = Sealer(OTHER, [KEY])
    assert rotated.open(used, blob, "account") == verifier
    assert rotated.seal(verifier, "account")[0] == key_id(OTHER)


def test_an_unknown_key_is_named_with_the_option_to_look_at(verifier: Verifier) -> None:
    used, blob = Sealer(KEY).seal(verifier, "account")
    with pytest.raises(SealError, match=rf"{used}.*auth\.old_sealing_keys"):
        Sealer(OTHER).open(used, blob, "account")


def test_credentials_cannot_be_moved_to_another_account(verifier: Verifier) -> None:
    used, blob = Sealer(KEY).seal(verifier, "mallory")
    with pytest.raises(SealError, match="belong to another account"):
        Sealer(KEY).open(used, blob, "alice")


def test_every_altered_byte_is_noticed(verifier: Verifier) -> None:
    used, blob = Sealer(KEY).seal(verifier, "account")
    for position in range(len(blob)):
        altered = bytearray(blob)
        altered[position] ^= 1
        with pytest.raises(SealError):
            Sealer(KEY).open(used, bytes(altered), "account")
    for length in (0, 1, 12, 13, len(blob) - 1):
        with pytest.raises(SealError):
            Sealer(KEY).open(used, blob[:length], "account")


def test_keys_are_read_as_base64_or_hex() -> None:
    assert read_key(base64.b64encode(KEY).decode() + "\n") == KEY
    assert read_key(KEY.hex()) == KEY
    assert read_key(KEY.hex().upper()) == KEY
    assert len(read_key(new_key())) == 32
    assert new_key() != new_key()
    assert Sealer.from_text(KEY.hex(), [OTHER.hex()]).key_id == key_id(KEY)


@pytest.mark.parametrize("text", ["", "hunter2", "x" * 64, base64.b64encode(b"short").decode(), "ü" * 44])
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidSealingKey) as caught:
        read_key(text)
    assert not text or text not in str(caught.value)
    with pytest.raises(InvalidSealingKey):
        Sealer(text.encode()[:31])


def test_other_secrets_come_from_the_key_and_differ_by_purpose() -> None:
    sealer = Sealer(KEY)
    assert sealer.secret_for("a") == Sealer(KEY).secret_for("a")
    assert len({KEY, sealer.secret_for("a"), sealer.secret_for("b"), Sealer(OTHER).secret_for("a")}) == 4
