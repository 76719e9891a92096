"""What a key declares about itself is what values are held against, in the core's sections and in plugins' options."""

import pytest

from rainbow_xmpp.config import Origin, Table, key, section
from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.plugin import PluginOptions, option


class Options(PluginOptions):
    digits: int = option(8, "Digits of a PIN.", ge=6, le=12, reload="live")
    share: float = option(0.5, "A share.", ge=0, le=1)
    least: int = option(1, "At least that many.", ge=1)
    most: int = option(1, "At most that many.", le=5)
    ports: tuple[int, ...] = option((), "Ports.", ge=1, le=99)
    ways: tuple[str, ...] = option((), "Ways.", choices=("mail", "phone"))
    colour: str = option("red", "A colour.", choices=("red", "green"))


def judged(**values: object) -> list[str]:
    """What is wrong with these values, as `key text`."""
    table = Table("t", values, {}, Origin("rainbow.toml"))
    return [f"{problem.key} {problem.text}" for problem in section(Options, table)[1]]


@pytest.mark.parametrize(
    ("values", "complaints"),
    [
        ({"digits": 6}, []),
        ({"digits": 12}, []),
        ({"digits": 5}, ["t.digits is 5; 6 to 12 are allowed"]),
        ({"digits": 13}, ["t.digits is 13; 6 to 12 are allowed"]),
        ({"share": 1}, []),
        ({"share": 1.5}, ["t.share is 1.5; 0 to 1 are allowed"]),
        ({"share": float("nan")}, ["t.share is nan; 0 to 1 are allowed"]),
        ({"least": 0}, ["t.least is 0; 1 or more is allowed"]),
        ({"most": 6}, ["t.most is 6; 5 or less is allowed"]),
        ({"ports": [1, 0, 99, 100]}, [f"t.ports has {port}; 1 to 99 are allowed" for port in (0, 100)]),
        ({"ways": ["mail", "phnoe"]}, ['t.ways has "phnoe", which is not known; did you mean "phone"?']),
        ({"colour": "blue"}, ['t.colour is "blue", which is not known; use one of: red, green']),
        ({"digits": True}, ["t.digits is true; give a whole number"]),
    ],
)
def test_values_are_held_against_the_declared_bounds(
    values: dict[str, object], complaints: list[str]
) -> None:
    assert judged(**values) == complaints


def test_bounds_are_judged_even_where_another_key_is_of_a_wrong_type() -> None:
    assert judged(colour=1, digits=1) == [
        "t.colour is 1; give text in quotes",
        "t.digits is 1; 6 to 12 are allowed",
    ]


def test_a_default_outside_the_declared_bounds_is_refused_when_it_is_declared() -> None:
    with pytest.raises(LocalMisuse, match="default is 0; 1 to 5 are allowed"):
        key(0, "A number.", ge=1, le=5)


def test_a_reload_rule_that_does_not_exist_is_refused_when_it_is_declared() -> None:
    with pytest.raises(LocalMisuse, match="restart, live"):
        key(0, "A number.", reload="sometimes")  # type: ignore[arg-type]
