"""What people read, in their language: catalogues of translations, and templates that use them.

The English text is the key. Catalogues are `locale/LANGUAGE/LC_MESSAGES/rainbow.po`, read as they are; tests see to it
that none lacks anything. A plugin's texts stand in the same catalogues, marked by `{% trans %}` or `N_`.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import jinja2
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from rainbow_xmpp.languages import LANGUAGES


@cache
def translation(language: str) -> gettext.NullTranslations:
    """The catalogue of one of `LANGUAGES`; English needs none, and nor does a language that is not there."""
    if language == LANGUAGES[0] or language not in LANGUAGES:
        return gettext.NullTranslations()
    text = files("rainbow_xmpp") / "locale" / language / "LC_MESSAGES" / "rainbow.po"
    catalogue = read_po(BytesIO(text.read_bytes()), locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def environment(language: str, *folders: Path | str, package: str) -> jinja2.Environment:
    """Templates of a package's folder in one language, those of the administrator's `folders` before them.

    HTML is escaped; a name that nobody gave is an error, and no hole in a sentence.
    """
    loaders: list[jinja2.BaseLoader] = [jinja2.FileSystemLoader(folder) for folder in folders]
    name, _, below = package.partition("/")
    loaders.append(jinja2.PackageLoader(name, below or "templates"))
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=jinja2.select_autoescape(("html", "svg"), default=False),
        undefined=jinja2.StrictUndefined,
        extensions=("jinja2.ext.i18n",),
    )
    made.policies["ext.i18n.trimmed"] = True
    install: Callable[..., None] = made.install_gettext_translations  # type: ignore[attr-defined]
    install(translation(language), newstyle=True)
    return made
