"""`probe`: its SCRAM, its clock, and what it says when nobody answers."""

import json
import socket

import pytest

from rainbow_xmpp.cli.probe_course import Course
from rainbow_xmpp.cli.probe_scram import ScramClient, ScramRefused
from tests.cli import CommandLine, bare

__all__ = ["bare"]

FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
CHALLENGE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
LAST = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.fixture
def scram() -> ScramClient:
    """The client of RFC 7677 §3."""
    return ScramClient("SCRAM-SHA-256", "user", "pencil", "rOprNGfwEbeRWgbNEkqO")


def test_the_exchange_of_the_rfc_is_reproduced(scram: ScramClient) -> None:
    assert scram.first() == FIRST
    assert scram.final(CHALLENGE) == FINAL
    scram.check(LAST)


@pytest.mark.parametrize(
    "challenge",
    [
        CHALLENGE.replace(b"r=rOpr", b"r=other"),
        CHALLENGE.replace(b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", b""),
        CHALLENGE.replace(b"i=4096", b"i=1"),
        CHALLENGE.replace(b"i=4096", b"i=99999999999"),
        CHALLENGE.replace(b"s=W", b"s=*"),
        b"",
        b"\xff",
    ],
)
def test_a_challenge_that_is_none_is_refused(scram: ScramClient, challenge: bytes) -> None:
    scram.first()
    with pytest.raises(ScramRefused):
        scram.final(challenge)


@pytest.mark.parametrize("last", [b"v=AAAA", b"", b"e=invalid-proof"])
def test_a_server_that_does_not_know_the_password_is_refused(scram: ScramClient, last: bytes) -> None:
    scram.first()
    scram.final(CHALLENGE)
    with pytest.raises(ScramRefused):
        scram.check(last)


def test_names_with_commas_and_equals_signs_are_escaped() -> None:
    assert ScramClient("SCRAM-SHA-1", "a=b,c", "x", "n").first() == b"n,,n=a=3Db=2Cc,r=n"


def test_each_step_gets_the_time_since_the_one_before() -> None:
    times = iter([1.0, 1.25, 1.75])
    course = Course(lambda: next(times))
    course.done("TLS")
    course.done()
    assert [(step.name, step.ms, step.detail) for step in course.steps] == [
        ("connect", 250.0, "TLS"),
        ("stream", 500.0, ""),
    ]
    assert (course.total_ms, course.next_step) == (750.0, "auth")


@pytest.mark.parametrize("scheme", ["wss", "xmpps"])
def test_nobody_listening_is_told_plainly(bare: CommandLine, scheme: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        url = f"{scheme}://127.0.0.1:{port}"
        arguments = ("probe", url, "--user", "a", "--password-stdin")
        said = bare.refused(*arguments, stdin="x")
        assert said == f"connect failed: nothing listens on 127.0.0.1 port {port}; is the server running?\n"
        told = json.loads(bare.run(*arguments, "--json", stdin="x").stdout)
    assert (told["ok"], told["failed"]["step"], told["steps"]) == (False, "connect", [])


@pytest.mark.parametrize("scheme", ["wss", "xmpps"])
def test_a_server_that_says_nothing_is_given_up(bare: CommandLine, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        said = bare.refused("probe", url, "--user", "a", "--password-stdin", "--timeout", "0.5", stdin="x")
    assert said == "connect failed: no answer within 0.5 s\n"


@pytest.mark.parametrize("url", ["https://localhost", "wss://", "xmpps://localhost:99999", "localhost"])
def test_other_addresses_are_usage_errors(bare: CommandLine, url: str) -> None:
    said = bare.refused("probe", url, "--user", "a", "--password-stdin", stdin="x", exit_code=2)
    assert "neither wss://HOST:PORT/xmpp-websocket nor xmpps://HOST:PORT" in said


def test_without_a_terminal_the_password_comes_from_standard_input(bare: CommandLine) -> None:
    said = bare.refused("probe", "wss://localhost", "--user", "a", exit_code=2)
    assert "--password-stdin" in said
