"""Access tokens: what is signed is believed, for as long as it holds, and nothing else is."""

import base64
import hmac
import json
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from rainbow_xmpp.auth.tokens import (
    InvalidSigningKey,
    InvalidToken,
    SigningKey,
    Tokens,
    new_signing_key,
)
from rainbow_xmpp.store.values import Account, Company, Role, Visibility

NOW = 1_700_000_000.0
ISSUER = "https://chat.example"
COMPANY = Company("c" * 24, "Acme", "emea", Visibility.PRIVATE, "", "essential", False, 0)
ANN = Account(
    "a" * 24, "ann", COMPANY, Role.USER, Visibility.SAME_THAN_COMPANY, "emea", "essential", False, 7, "Ann"
)
KEY, OLD, FOREIGN = (SigningKey.from_pem(new_signing_key()) for _ in range(3))


def tokens(key: SigningKey = KEY, *older: SigningKey, **other: object) -> Tokens:
    return Tokens(key, older, **({"issuer": ISSUER, "lifetime_s": 900} | other))  # type: ignore[arg-type]


TEXT = tokens().issue(ANN, "f" * 32, NOW)


def part(number: int, text: str = TEXT) -> dict[str, object]:
    encoded = text.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))


def signed(claims: dict[str, object] | None = None, key: SigningKey = KEY, **header: object) -> str:
    changed = {"kid": key.id, "typ": "at+jwt"} | header
    algorithm = str(changed.pop("alg", "ES256"))
    return jwt.encode(part(1) | (claims or {}), key.private, algorithm=algorithm, headers=changed)


def test_a_token_says_who_and_of_which_login_and_is_good_until_it_is_over():
    claims = tokens().verify(TEXT, NOW + 899)
    assert (claims.account_id, claims.company_id, claims.epoch) == (ANN.id, COMPANY.id, 7)
    assert (claims.family, claims.expires_at) == ("f" * 32, NOW + 900)
    with pytest.raises(InvalidToken):
        tokens().verify(TEXT, NOW + 911)


def test_a_token_holds_ids_and_nothing_about_a_person():
    assert "ann" not in json.dumps([part(0), part(1)]).replace(ANN.id, "").lower()
    assert part(0) == {"alg": "ES256", "typ": "at+jwt", "kid": KEY.id}


def test_what_an_older_key_signed_holds_while_that_key_is_configured():
    old = tokens(OLD).issue(ANN, "f", NOW)
    assert tokens(KEY, OLD).verify(old, NOW).family == "f"
    with pytest.raises(InvalidToken):
        tokens(KEY).verify(old, NOW)


def public_pem(key: SigningKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.private.public_key().public_bytes(serialization.Encoding.PEM, form)


def joined(header: dict[str, object], claims: dict[str, object], signature: bytes) -> str:
    pieces = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(piece).rstrip(b"=").decode() for piece in pieces)


def confused_with_hmac() -> str:
    """Signed with the public key as though it were a shared secret."""
    header = part(0) | {"alg": "HS256"}
    head = joined(header, part(1), b"").rstrip(".")
    signature = hmac.digest(public_pem(KEY), head.encode(), "sha256")
    return joined(header, part(1), signature)


def with_own_key() -> str:
    numbers = jwt.algorithms.ECAlgorithm.to_jwk(FOREIGN.private.public_key(), as_dict=True)
    return signed(key=FOREIGN, kid=KEY.id, jwk=numbers)


ATTACKS = {
    "nothing": "",
    "no token": "abc",
    "too long": TEXT + "a" * 5000,
    "alg none": joined(part(0) | {"alg": "none"}, part(1), b""),
    "alg None": joined(part(0) | {"alg": "None"}, part(1), b""),
    "public key as a secret": confused_with_hmac(),
    "another key under our name": signed(key=FOREIGN, kid=KEY.id),
    "an unknown key": signed(key=FOREIGN),
    "its key in the header": with_own_key(),
    "a key's address in the header": signed(jku="https://evil.example/keys"),
    "a certificate's address in the header": signed(x5u="https://evil.example/cert"),
    "a path as the key's name": signed(kid="../../../dev/null"),
    "a number as the key's name": joined(part(0) | {"kid": 1}, part(1), b"x"),
    "critical extensions": signed(crit=["exp"]),
    "of another kind": signed(typ="refresh+jwt"),
    "of no kind": signed(typ="JWT"),
    "for others": signed({"aud": "https://other.example/api"}),
    "by others": signed({"iss": "https://other.example"}),
    "for ever": signed({"exp": int(NOW) + 10**9}),
    "from the future": signed({"iat": int(NOW) + 60, "exp": int(NOW) + 900}),
    "an epoch that is no number": signed({"epoch": "7"}),
    "an epoch that is a truth": signed({"epoch": True}),
    "a list as the account": signed({"sub": [ANN.id]}),
    "changed": TEXT.replace(TEXT.split(".")[1], joined({}, part(1) | {"sub": "b" * 24}, b"").split(".")[1]),
    "without signature": TEXT.rpartition(".")[0] + ".",
    "cut": TEXT[:-4],
}


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS)
def test_a_token_that_is_not_ours_or_not_whole_is_worth_nothing(text: str):
    with pytest.raises(InvalidToken):
        tokens().verify(text, NOW)


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "exp", "iat", "jti", "cid", "epoch", "sid"])
def test_nothing_may_be_missing(name: str):
    claims = part(1)
    del claims[name]
    header = {"kid": KEY.id, "typ": "at+jwt"}
    with pytest.raises(InvalidToken):
        tokens().verify(jwt.encode(claims, KEY.private, algorithm="ES256", headers=header), NOW)


def rsa_pem() -> str:
    return pem_of(rsa.generate_private_key(65537, 2048))


def p384_pem() -> str:
    return pem_of(ec.generate_private_key(ec.SECP384R1()))


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize("make", [lambda: "secret", rsa_pem, p384_pem, lambda: public_pem(KEY).decode()])
def test_only_private_keys_of_p256_sign(make):
    with pytest.raises(InvalidSigningKey):
        SigningKey.from_pem(make())


def test_keys_do_not_show_themselves():
    assert "PRIVATE" not in repr(KEY)
    assert replace(KEY, id="x").id == "x"
