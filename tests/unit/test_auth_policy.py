"""The password policy."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainbow_xmpp.auth.policy import PasswordPolicy, _common_passwords
from rainbow_xmpp.config.auth import Password

POLICY = PasswordPolicy()


@pytest.mark.parametrize(
    "password",
    ["Xk9#wqTz", "correct-Horse-battery9", "Straße 7 grün", "Пароль-длинный-7", "Aa1!" * 32, "Tr0ub4dor&3x"],
)
def test_a_password_that_fits_has_no_problems(password: str) -> None:
    assert POLICY.problems(password) == []


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("Xk9#wqT", "needs at least 8 characters"),
        ("Xk9#" * 33, "must not have more than 128 characters"),
        ("XK9#WQTZ", "needs a lower-case letter"),
        ("xk9#wqtz", "needs an upper-case letter"),
        ("Xky#wqtz", "needs a digit"),
        ("Xk94wqtz", "needs a character that is neither letter nor digit"),
        ("Xk9#wq\nz", "must not be empty or have control characters"),
        ("", "must not be empty or have control characters"),
        ("P@ssw0rd", "is one of the passwords that everybody tries first"),
        ("Dragon2024!", "is one of the passwords that everybody tries first"),
        ("!!Qwerty123", "is one of the passwords that everybody tries first"),
        ("Foot-ball1", "is one of the passwords that everybody tries first"),
        ("My-Rainbow-7", 'must not contain "rainbow"'),
    ],
)
def test_a_password_is_refused_for_exactly_this(password: str, problem: str) -> None:
    assert POLICY.problems(password) == [problem]


def test_everything_that_is_missing_is_named_at_once() -> None:
    assert len(POLICY.problems("a")) == 4


def test_length_is_counted_in_characters_as_people_see_them_prepared() -> None:
    assert POLICY.problems("Ü9#u\u0308u\u0308u\u0308u\u0308") == ["needs at least 8 characters"]
    assert POLICY.problems("Ü9#u\u0308u\u0308u\u0308u\u0308x") == []


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("xx-Alice-77", "alice"),
        ("xx-4lic3-Zz77", "alice"),
        ("Smith#2024#x", "smith"),
        ("ilove-ACME9-x", "acme"),
    ],
)
def test_a_persons_own_words_are_refused(password: str, word: str) -> None:
    words = ["alice.smith@corp.example", "Acme Ltd", "al"]
    assert f'must not contain "{word}"' in POLICY.problems(password, words)


def test_short_words_are_no_reason_to_refuse() -> None:
    assert POLICY.problems("Bo-hat-7-Katzen", ["bo@x.example", "X"]) == []


def test_each_rule_can_be_switched_off() -> None:
    loose = PasswordPolicy(
        Password(min_length=4, lower=False, upper=False, digit=False, special=False, refuse_common=False)
    )
    assert loose.problems("password") == []
    assert loose.problems("abc") == ["needs at least 4 characters"]


def test_the_list_has_thousands_of_passwords_and_no_comments() -> None:
    common = _common_passwords()
    assert len(common) >= 3000
    assert {"password", "qwerty", "dragon"} <= common
    assert all(word == word.casefold().strip() and not word.startswith("#") for word in common)


def test_a_generated_password_fits_and_is_easy_to_type() -> None:
    made = {POLICY.generate() for _ in range(200)}
    assert len(made) == 200
    for password in made:
        assert POLICY.problems(password) == []
        assert len(password) >= 16
        assert set(password) <= set(string.ascii_letters + string.digits + "-") - set("0Oo1lIi")


def test_a_generated_password_is_as_long_as_asked() -> None:
    strict = PasswordPolicy(Password(min_length=40))
    password = strict.generate()
    assert len(password) >= 40
    assert strict.problems(password) == []


@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=3))
@settings(max_examples=150, deadline=None)
def test_whatever_is_typed_gets_an_answer(password: str, words: list[str]) -> None:
    assert isinstance(POLICY.problems(password, words), list)
