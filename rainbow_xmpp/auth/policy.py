"""What a new password must be like, and making one that is."""

import re
import secrets
import string
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Self

from rainbow_xmpp.auth.credentials import InvalidPassword, prepare
from rainbow_xmpp.config.auth import Password
from rainbow_xmpp.errors import RainbowError
from rainbow_xmpp.languages import N_

_LEAST_OWN_WORD = 4
_PRODUCT_WORDS = ("rainbow",)
_GROUP = 4
_LEAST_GROUPS = 4
# What looks alike in many fonts is left out: 0 O o, 1 l I i.
_LETTERS_AND_DIGITS = "".join(c for c in string.ascii_letters + string.digits if c not in "0Oo1lIi")
_LOOKALIKES = str.maketrans("0134578@$!|+", "oieastbasiit")


class Weakness(str):
    """What is wrong with a password, as the end of "The password …"; `words` and `facts` are for translations."""

    words: str
    facts: Mapping[str, str | int]

    def __new__(cls, words: str, **facts: str | int) -> Self:
        made = super().__new__(cls, words % facts)
        made.words, made.facts = words, facts
        return made


class WeakPassword(RainbowError, ValueError):
    """The policy has something against a new password; `str()` says what, as a sentence."""

    def __init__(self, problems: Sequence[Weakness]) -> None:
        super().__init__(weakness(problems))
        self.problems = tuple(problems)


def weakness(problems: Sequence[str]) -> str:
    """What the policy has against a password, as a sentence."""
    return f"The password {'; it '.join(problems)}."


class PasswordPolicy:
    """Judges new passwords by `[auth.password]`; passwords in use are not judged again."""

    def __init__(self, settings: Password | None = None) -> None:
        self._settings = settings or Password()

    def problems(self, password: str, own_words: Iterable[str] = ()) -> list[Weakness]:
        """What is wrong with it, each as the end of "The password …"; empty: it will do.

        `own_words`: localpart, e-mail address, company name, by which others would guess first.
        """
        try:
            prepared = prepare(password).decode()
        except InvalidPassword:
            return [Weakness(N_("must not be empty or have control characters"))]
        found: list[Weakness] = [*self._length_problems(len(prepared)), *self._composition_problems(prepared)]
        if self._settings.refuse_common and _is_common(prepared):
            found.append(Weakness(N_("is one of the passwords that everybody tries first")))
        word = _own_word_in(prepared, own_words)
        if word is not None:
            found.append(Weakness(N_('must not contain "%(word)s"'), word=word))
        return found

    def generate(self) -> str:
        """A random password that this policy accepts: groups of four characters, none that look alike."""
        groups = max(_LEAST_GROUPS, -(-(self._settings.min_length + 1) // (_GROUP + 1)))
        while True:
            password = "-".join(
                "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(_GROUP)) for _ in range(groups)
            )
            if not self.problems(password):
                return password

    def _length_problems(self, length: int) -> Iterator[Weakness]:
        if length < self._settings.min_length:
            yield Weakness(N_("needs at least %(least)s characters"), least=self._settings.min_length)
        if length > self._settings.max_length:
            yield Weakness(N_("must not have more than %(most)s characters"), most=self._settings.max_length)

    def _composition_problems(self, password: str) -> Iterator[Weakness]:
        settings = self._settings
        if settings.lower and not any(c.islower() for c in password):
            yield Weakness(N_("needs a lower-case letter"))
        if settings.upper and not any(c.isupper() for c in password):
            yield Weakness(N_("needs an upper-case letter"))
        if settings.digit and not any(c.isdigit() for c in password):
            yield Weakness(N_("needs a digit"))
        if settings.special and not any(_is_special(c) for c in password):
            yield Weakness(N_("needs a character that is neither letter nor digit"))


def _is_special(character: str) -> bool:
    return unicodedata.category(character)[0] not in "LNM"


def _is_common(password: str) -> bool:
    """On the list, or with no more than what people add to please a policy: "Dragon2024!", "P@ssw0rd"."""
    return not _common_passwords().isdisjoint(_plain_forms(password))


def _plain_forms(password: str) -> Iterator[str]:
    lower = password.casefold()
    bare = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", lower)
    for form in (lower, bare):
        yield form
        yield form.translate(_LOOKALIKES)
    yield re.sub(r"^[\W\d_]+|[\W\d_]+$", "", lower.translate(_LOOKALIKES))
    yield re.sub(r"[\W_]+", "", lower)


def _own_word_in(password: str, own_words: Iterable[str]) -> str | None:
    lower = password.casefold()
    forms = (lower, lower.translate(_LOOKALIKES))
    for text in (*own_words, *_PRODUCT_WORDS):
        name = text.partition("@")[0].casefold()
        for word in {name, *re.split(r"[\W_]+", name)}:
            if len(word) >= _LEAST_OWN_WORD and any(word in form for form in forms):
                return word
    return None


@cache
def _common_passwords() -> frozenset[str]:
    text = resources.files(__package__).joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))
