"""Finding the line of every key in TOML text."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from rainbow_xmpp.config.locate import key_lines

TRICKY = '''\
# [no.table] here
a = "x = [1" # b = 2
"quoted key" = 1
d.e.f = 'lit # eral'

[ t . "u v" ] # header
long = """
k = 1
[not.a.table]
"""
list = [
  "]", # comment ]
  { in_list = 1 },
]
inline = { x = 1, y = { z = "}" } }
last = """a""""
[[arr]]
one = 1
[[arr]]
two = 2024-01-01T00:00:00Z
'''


def test_each_key_is_found_on_its_line() -> None:
    tomllib.loads(TRICKY)
    lines = key_lines(TRICKY)
    assert lines == {
        ("a",): 2,
        ("quoted key",): 3,
        ("d",): 4,
        ("d", "e"): 4,
        ("d", "e", "f"): 4,
        ("t",): 6,
        ("t", "u v"): 6,
        ("t", "u v", "long"): 7,
        ("t", "u v", "list"): 11,
        ("t", "u v", "list", "in_list"): 13,
        ("t", "u v", "inline"): 15,
        ("t", "u v", "inline", "x"): 15,
        ("t", "u v", "inline", "y"): 15,
        ("t", "u v", "inline", "y", "z"): 15,
        ("t", "u v", "last"): 16,
        ("arr",): 19,
        ("arr", "one"): 18,
        ("arr", "two"): 20,
    }


def test_an_empty_text_has_no_keys() -> None:
    assert key_lines("") == {}
    assert key_lines("# only a comment") == {}


@given(st.text(alphabet="ab.=[]{}\"'#\n ,1\\t", max_size=60))
def test_every_text_that_is_toml_is_walked_to_its_end(text: str) -> None:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert {path[0] for path in key_lines(text)} == set(values)
