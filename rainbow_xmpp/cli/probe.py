"""`probe URL`: log in as a client would, send oneself a message, say how long each step took."""

import asyncio
import getpass
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import click

from rainbow_xmpp.cli.console import Failed, json_option, note, print_json
from rainbow_xmpp.cli.development import authority_for
from rainbow_xmpp.cli.probe_course import Course, ProbeFailed, Step, Target

Walk = Callable[[Target, Course], Awaitable[None]]
DEFAULT_PORTS = {"wss": 443, "xmpps": 5223}


@click.command()
@click.argument("url")
@click.option("--user", required=True, metavar="EMAIL", help="Who logs in: an e-mail address or a localpart.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--domain", help="What stands after the @ of addresses there. [default: the host in URL]")
@click.option(
    "--ca",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Trust this certificate authority (PEM) instead of the system's.",
)
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 600), default=15.0, show_default=True, help="Seconds in all."
)
@json_option
def probe(
    url: str,
    user: str,
    password_stdin: bool,
    domain: str | None,
    ca: Path | None,
    insecure: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Log in at URL, send oneself a message, and say how long each step took.

    URL is wss://HOST:PORT/xmpp-websocket or xmpps://HOST:PORT (direct TLS).
    """
    if ca is not None and insecure:
        raise click.UsageError("--ca and --insecure exclude each other")
    target = _target(url, user, _password(password_stdin), domain, _trust(url, ca, insecure))
    walk = _walker(target.scheme)
    course = Course()
    failure = asyncio.run(_run(walk, target, course, timeout))
    if as_json:
        print_json(_as_json(target, course, failure))
    else:
        for step in course.steps:
            click.echo(_line(step))
    if failure is not None:
        if not as_json:
            raise Failed(f"{failure.step} failed: {failure}")
        sys.exit(1)
    if not as_json:
        click.echo(_line(Step("total", course.total_ms, course.jid)))


def _walker(scheme: str) -> Walk:
    """The client to log in with; libraries are loaded here, so that the clock does not count that."""
    if scheme == "wss":
        from rainbow_xmpp.cli import probe_websocket

        return probe_websocket.walk
    from rainbow_xmpp.cli import probe_direct_tls

    return probe_direct_tls.walk


async def _run(walk: Walk, target: Target, course: Course, timeout_s: float) -> ProbeFailed | None:
    """Walk the course; None when it was finished."""
    try:
        async with asyncio.timeout(timeout_s):
            await walk(target, course)
    except ProbeFailed as failure:
        return failure
    except TimeoutError:
        return ProbeFailed(course.next_step, f"no answer within {timeout_s:g} s")
    return None


def _target(url: str, user: str, password: str, domain: str | None, trust: ssl.SSLContext) -> Target:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0:
        raise click.BadParameter(
            f'"{url}" is neither wss://HOST:PORT/xmpp-websocket nor xmpps://HOST:PORT', param_hint="URL"
        )
    return Target(
        scheme=parts.scheme,
        url=url if parts.path or parts.scheme == "xmpps" else f"{url}/xmpp-websocket",
        host=parts.hostname,
        port=port or DEFAULT_PORTS[parts.scheme],
        domain=domain or parts.hostname,
        user=user,
        password=password,
        trust=trust,
    )


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    raise click.UsageError("give the password on standard input, with --password-stdin")


def _trust(url: str, ca: Path | None, insecure: bool) -> ssl.SSLContext:
    if ca is None and not insecure and (ca := authority_for(urlsplit(url).hostname)) is not None:
        note(f"Trusting the development authority {ca}.")
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise Failed(f"{ca}: holds no certificate in PEM form") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _line(step: Step) -> str:
    return f"{step.name:<10}{step.ms:>9.1f} ms  {step.detail}".rstrip()


def _as_json(target: Target, course: Course, failure: ProbeFailed | None) -> dict[str, object]:
    found: dict[str, object] = {
        "url": target.url,
        "ok": failure is None,
        "jid": course.jid,
        "steps": [
            {"name": step.name, "ms": round(step.ms, 3), "detail": step.detail} for step in course.steps
        ],
        "total_ms": round(course.total_ms, 3),
    }
    if failure is not None:
        found["failed"] = {"step": failure.step, "reason": str(failure)}
    return found
