"""The hash of what was on offer (XEP-0474)."""

import hashlib
from base64 import b64encode

from rainbow_xmpp.sasl import Offer
from rainbow_xmpp.sasl.downgrade import offer_hash


def test_the_example_of_the_specification() -> None:
    offered = offer_hash(
        ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], ["tls-server-end-point", "tls-exporter"], "sha1"
    )
    assert offered == "G6k/rBLDqgOhRRaCuuatSDFkJ08="


def test_without_announced_bindings_nothing_stands_for_them() -> None:
    assert offer_hash(["B", "A"], [], "sha1") == b64encode(hashlib.sha1(b"A\x1eB").digest()).decode()


def test_bindings_are_announced_only_where_a_mechanism_takes_them() -> None:
    bindings = {"tls-server-end-point": b"x"}
    assert Offer.of(["SCRAM-SHA-1-PLUS"], bindings).announced_bindings == ("tls-server-end-point",)
    assert Offer.of(["SCRAM-SHA-1", "PLAIN"], bindings).announced_bindings == ()
