"""Fuzzing of the configuration loader: whatever is written, a configuration or a list of problems comes out.

`python -m tests.security.fuzz_config --minutes 10` runs on until a fault is found or the time is over; the test
beside this runs a short, seeded piece of it.
"""

import argparse
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rainbow_xmpp.config import Config, ConfigProblems, load
from rainbow_xmpp.config.environment import known_variables
from rainbow_xmpp.plugin.select import select_plugins

CONF = Path(__file__).parents[2] / "conf"
SECRET = "hunter2-kept-elsewhere"
MOST_SECONDS = 10.0
REPORT_S = 10.0
_VARIABLE = "environment variable "

_SHIPPED = (CONF / "rainbow.toml").read_text()
CORPUS = [
    _SHIPPED,
    re.sub(r"^#(\w+ = |\[plugins\.)", r"\1", _SHIPPED, flags=re.MULTILINE),
    (CONF / "examples" / "production.toml").read_text(),
    'domain = "a.example"\nauth = { sealing_key = { env = "SECRET" }, password = { digit = false } }\n',
    'domain = { file = "secret" }\nlimits.xml.depth = 9\n"listen"."port" = 8443\n\'websocket\'.origins = []\n'
    '[auth]\nsealing_key = """\nlong\\\n"""\n[plugins.offline]\nkeep_days = 3\n',
    "",
]

PIECES = (
    *("=", "\n", "[", "]", "{", "}", '"', "'", '"""', "'''", ",", ".", "#", "\\", " ", "\r\n", "\t", "-", "+", "_"),
    *("true", "false", "nan", "inf", "1e999", "0", "-1", "0x" + "f" * 40, "9" * 30, "1979-05-27", "07:32:00", "0.5"),
    *('"text"', "[]", "{}", '["a", 1]', "[[1], [2]]", '{ env = "SECRET" }', '{ file = "secret" }', '{ file = "." }'),
    *('{ credential = "secret" }', '{ credential = "/" }', '{ env = "NONE" }', '{ file = "/dev/zero" }', "{ file = 1}"),
    *("[listen]", "[limits.xml]", "[[auth]]", "[plugins]", "[plugins.offline]", "[plugins.nobody]", "[auth.password]"),
    *('domain = "b"', "port = 1", "a.b.c = 1", "enabled = 1", '"\\u0000" = 1', '"" = 1', "\ufeff", "\x00", "ü", "😀"),
    *("[" * 30, "a." * 30, '"\\n\\u001b[2J" = 1', "elements = 99999999999999999999", "depth = 8.5", "level = 'debug'"),
)  # fmt: skip

_VALUES = (
    "",
    "1",
    "true",
    "x",
    "[",
    '["a"]',
    "{ env = 'SECRET' }",
    '{ file = "secret" }',
    "\udcff",
    "-5",
    "1e5",
    SECRET,
)


class Fault(AssertionError):
    """The loader did what it never may; `str` shows the input."""


def mutate(rng: random.Random, text: str) -> bytes:
    """Some lines and pieces of a configuration moved, doubled, cut and replaced."""
    lines = text.split("\n")
    for _ in range(rng.randrange(4)):
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(4):
            case 0:
                lines.insert(at, lines[other])
            case 1:
                lines[at], lines[other] = lines[other], lines[at]
            case 2:
                lines.insert(at, rng.choice(PIECES))
            case _:
                key, equals, _ = lines[at].partition("=")
                lines[at] = f"{key.lstrip('#')}{equals} {rng.choice(PIECES)}"
    text = "\n".join(lines)
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(PIECES) + text[at + rng.randrange(3) :]
    data = text.encode()
    if rng.randrange(20) == 0:
        at = rng.randrange(len(data) + 1)
        data = data[:at] + bytes([rng.randrange(256)]) + data[at:]
    return data


def environment(rng: random.Random, folder: Path) -> dict[str, str]:
    """A few variables, some of which stand for keys."""
    names = [
        *known_variables(),
        "RAINBOW_PLUGINS__OFFLINE__KEEP_DAYS",
        "RAINBOW_PLUGINS",
        "RAINBOW_X",
        "RAINBOW_",
    ]
    chosen = {rng.choice(names): rng.choice(_VALUES) for _ in range(rng.randrange(3))}
    return {"SECRET": SECRET, "CREDENTIALS_DIRECTORY": str(folder), **chosen}


def check(folder: Path, files: dict[str, bytes], environ: dict[str, str]) -> bool:
    """Load these files; says whether they were accepted. Raises Fault."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    began = time.monotonic()
    try:
        config = load(folder / "rainbow.toml", environ)
        select_plugins(config)
    except ConfigProblems as wrong:
        _check_problems(folder, files, environ, wrong)
        return False
    except Exception as error:
        raise Fault(f"{error!r}\n{files!r}\n{environ!r}") from error
    finally:
        if time.monotonic() - began > MOST_SECONDS:
            raise Fault(f"it took {time.monotonic() - began:.1f} s\n{files!r}\n{environ!r}")
    _check_config(config, files, environ)
    return True


def _check_config(config: Config, files: dict[str, bytes], environ: dict[str, str]) -> None:
    if SECRET in repr(config.auth) or SECRET in repr(config.storage):
        raise Fault(f"a secret is shown\n{files!r}\n{environ!r}")


def _check_problems(
    folder: Path, files: dict[str, bytes], environ: dict[str, str], wrong: ConfigProblems
) -> None:
    for problem in wrong.problems:
        source, line = problem.origin.source, problem.origin.line
        name = source.removeprefix(f"{folder}/")
        is_placed = (
            0 <= line <= files[name].count(b"\n") + 1
            if name in files
            else source.startswith(_VARIABLE) and source.removeprefix(_VARIABLE) in environ and line == 0
        )
        told = str(problem)
        is_from_elsewhere = SECRET in told and SECRET not in environ.get(source.removeprefix(_VARIABLE), "")
        if not problem.text or not told.isprintable() or not is_placed or is_from_elsewhere:
            raise Fault(f"{problem!r}\n{files!r}\n{environ!r}")


class Progress:
    """How many configurations were tried, and how many of them accepted."""

    def __init__(self) -> None:
        self.tried = self.accepted = 0

    def __str__(self) -> str:
        return f"{self.tried:,} configurations, {self.accepted:,} accepted"


def rounds(seed: int, progress: Progress) -> Iterator[None]:
    """One configuration after the other, for ever; raises Fault with what must be tried again to see it."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="rainbow-fuzz-") as made:
        folder = Path(made)
        (folder / "conf.d").mkdir()
        (folder / "secret").write_text(SECRET)
        while True:
            main, secret = mutate(rng, rng.choice(CORPUS)), b'"%s/secret"' % bytes(folder)
            main = main.replace(b'"dev/sealing.key"', secret).replace(b'"dev/token.key"', secret)
            main = main.replace(b'"dev/relay.secret"', secret)
            files = {"rainbow.toml": main, "conf.d/10.toml": b""}
            if rng.randrange(3) == 0:
                files["conf.d/10.toml"] = mutate(rng, rng.choice(CORPUS[2:]))
            progress.accepted += check(folder, files, environment(rng, folder))
            progress.tried += 1
            yield


def run(seed: int, count: int) -> Progress:
    """Try so many configurations."""
    progress = Progress()
    for _, _ in zip(range(count), rounds(seed, progress), strict=False):
        pass
    return progress


def main(seconds: float, seed: int) -> int:
    """Fuzz for so long, saying now and then how far it is; 0 when no fault was found."""
    print(f"configuration: seed {seed}", flush=True)
    progress = Progress()
    began = time.monotonic()
    report_at = began + REPORT_S
    try:
        for _ in rounds(seed, progress):
            now = time.monotonic()
            if now >= report_at:
                print(f"[{now - began:6.0f} s] {progress}", flush=True)
                report_at = now + REPORT_S
            if now - began >= seconds:
                break
    except Fault as fault:
        print(f"configuration: FAULT with seed {seed} after {progress}: {fault}")
        return 1
    print(f"configuration: {progress}, 0 faults in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    sys.exit(main(options.minutes * 60, options.seed))
