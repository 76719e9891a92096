"""Data forms as values (XEP-0004, XEP-0068, XEP-0122): declared once, shown, and read back with bounds.

    class Report(Form, form_type="urn:example:report", title="Report a problem"):
        subject: str = form_field("What is it about?", max_len=80)
        urgent: bool = form_field("Is it urgent?", default=False)
        people: tuple[JID, ...] = form_field("Whom does it concern?", default=())

    Report.blank(urgent=True).to_xml()    # to be filled in
    Report.from_xml(element)              # what was submitted; FormError names the field that does not fit
    report.to_result()                    # to be read, or to stand in service discovery (XEP-0128)
    Report.table(reports)                 # several of them, one in a row

The field's type in the form follows from its type in Python: `bool`, `str`, `int`, `float`, `datetime`, `JID`, an
Enum (one of a list), or a tuple of these. Without a default it must be answered.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Self, TypeVar, dataclass_transform
from xml.etree.ElementTree import Element, SubElement

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.stanza.form_fields import (
    FIELD,
    FORM,
    VALUE,
    Asked,
    Field,
    FieldType,
    FormError,
    field_of,
)
from rainbow_xmpp.xml import names

F = TypeVar("F", bound="Form")

_ASKED = "rainbow_asked"
_FIELDS = "_rainbow_fields"
_TITLE = f"{{{names.DATA_FORM}}}title"
_INSTRUCTIONS = f"{{{names.DATA_FORM}}}instructions"
_REPORTED = f"{{{names.DATA_FORM}}}reported"
_ITEM = f"{{{names.DATA_FORM}}}item"
_FORM_TYPE = "FORM_TYPE"
_ANSWERS = ("submit", "result", "cancel")
"""A form of the type "cancel" is read like a submitted one (XEP-0050 §3.5.1)."""

NO_OPTIONS: Mapping[str, Mapping[str, str]] = {}


def form_field(
    label: str = "",
    *,
    default: Any = dataclasses.MISSING,
    desc: str = "",
    var: str = "",
    heading: str = "",
    options: Mapping[str, str] | None = None,
    private: bool = False,
    hidden: bool = False,
    lines: bool = False,
    ge: Any = None,
    le: Any = None,
    max_len: int | None = None,
    pattern: str = "",
    most: int = 1000,
) -> Any:
    """A field, called `var` in the form (or as the attribute); without a default it must be answered.

    `options` are values with their labels; `private` hides what is typed, and is never shown again; `lines` takes
    several lines of text; `heading` stands above it. `ge`, `le` bound numbers and times, `max_len` and `pattern`
    (of the whole) texts, `most` the number of values.
    """
    asked = Asked(label, desc, var, heading, options, private, hidden, lines, ge, le, max_len, pattern, most)
    return field(default=default, metadata={_ASKED: asked}, repr=not private)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(form_field,))
@dataclass(frozen=True, kw_only=True)
class Form:
    """The base of forms: `class Report(Form, form_type="urn:example:report", title="Report a problem")`."""

    form_type: ClassVar[str] = ""
    """What the form's fields mean, by the name of a specification (XEP-0068)."""
    title: ClassVar[str] = ""
    instructions: ClassVar[str] = ""

    def __init_subclass__(
        cls,
        *,
        form_type: str | None = None,
        title: str | None = None,
        instructions: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.form_type = cls.form_type if form_type is None else form_type
        cls.title = cls.title if title is None else title
        cls.instructions = cls.instructions if instructions is None else instructions
        dataclass(frozen=True, kw_only=True)(cls)

    @classmethod
    def fields(cls) -> tuple[Field, ...]:
        """The fields in their order. Raises LocalMisuse for a type that forms cannot hold."""
        made: tuple[Field, ...] | None = cls.__dict__.get(_FIELDS)
        if made is None:
            hints = typing.get_type_hints(cls)
            made = tuple(
                field_of(cls.__name__, f.name, hints[f.name], f.metadata[_ASKED], f.default)
                for f in dataclasses.fields(cls)
                if _ASKED in f.metadata
            )
            if len({each.var for each in made}) < len(made):
                raise LocalMisuse(f"{cls.__name__}: two fields have the same var")
            setattr(cls, _FIELDS, made)
        return made

    @classmethod
    def blank(cls, *, options: Mapping[str, Mapping[str, str]] = NO_OPTIONS, **values: Any) -> Blank[Self]:
        """The form to be filled in, with these values in it already.

        `options` are those of list fields that are known only now: by the field's name, values with labels.
        """
        known = {each.name for each in cls.fields()}
        if unknown := (values.keys() | options.keys()) - known:
            raise LocalMisuse(f"{cls.__name__} has no field {', '.join(sorted(unknown))}")
        return Blank(cls, values, options)

    @classmethod
    def from_xml(cls, el: Element) -> Self:
        """What was submitted, or is a result. Raises FormError, in words the sender may read."""
        return cls.blank().read(el)

    def to_result(self) -> Element:
        """The form with its answers, to be read; what has no value is left out (XEP-0004 §3.1, XEP-0128)."""
        el = _form_element("result", self.form_type, self.title)
        for each in self.fields():
            value = getattr(self, each.name)
            if any(each.texts(value)):
                el.append(each.to_result(value))
        return el

    def to_submit(self) -> Element:
        """The answers, as the one who fills in the form sends them."""
        el = _form_element("submit", self.form_type)
        el.extend(each.to_submit(getattr(self, each.name)) for each in self.fields())
        return el

    @classmethod
    def table(cls, rows: Iterable[Self]) -> Element:
        """Several of them as a table (XEP-0004 §3.4): a row for each, a column for each field."""
        el = Element(FORM, {"type": "result"})
        reported = SubElement(el, _REPORTED)
        reported.extend(each.column() for each in cls.fields())
        for row in rows:
            item = SubElement(el, _ITEM)
            item.extend(each.to_submit(getattr(row, each.name)) for each in cls.fields())
        return el

    @classmethod
    def rows(cls, el: Element) -> tuple[Self, ...]:
        """The rows of such a table. Raises FormError."""
        return tuple(cls.blank().taken_from(item) for item in el.iterfind(_ITEM))


@dataclass(frozen=True, slots=True)
class Blank(Generic[F]):
    """A form on its way to whoever fills it in: what it asks now, and what stands in it already."""

    form: type[F]
    values: Mapping[str, Any]
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def to_xml(self) -> Element:
        """The form with its questions."""
        form = self.form
        el = _form_element("form", form.form_type, form.title, form.instructions)
        for each in form.fields():
            if each.asked.heading:
                heading = SubElement(el, FIELD, {"type": str(FieldType.FIXED)})
                SubElement(heading, VALUE).text = each.asked.heading
            value = self.values.get(each.name, each.default)
            el.append(each.to_form(value, self.options.get(each.name)))
        return el

    def read(self, el: Element) -> F:
        """The answers in a submitted form; what it leaves out stays as it was shown (XEP-0004 §3.5)."""
        if el.tag != FORM or el.get("type") not in _ANSWERS:
            raise FormError("a submitted form is expected")
        return self.taken_from(el)

    def filled(self, answers: F) -> Blank[F]:
        """The same form with these answers standing in it."""
        values = {each.name: getattr(answers, each.name) for each in self.form.fields()}
        return dataclasses.replace(self, values=values)

    def taken_from(self, el: Element) -> F:
        """The answers in the fields of this element; fields that are not known are ignored (§3.1)."""
        texts = _texts_in(el)
        kind = texts.get(_FORM_TYPE)
        if kind and self.form.form_type and kind != [self.form.form_type]:
            raise FormError("this is another form than the one that is expected", field=_FORM_TYPE)
        return self.form(
            **{
                each.name: each.read(
                    texts.get(each.var),
                    self.values.get(each.name, dataclasses.MISSING),
                    self.options.get(each.name),
                )
                for each in self.form.fields()
            }
        )


def _texts_in(el: Element) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for inner in el.iterfind(FIELD):
        var = inner.get("var", "")
        if var in texts:
            raise FormError(f"{var} stands there twice", field=var)
        texts[var] = [value.text or "" for value in inner.iterfind(VALUE)]
    return texts


def _form_element(type_: str, form_type: str, title: str = "", instructions: str = "") -> Element:
    el = Element(FORM, {"type": type_})
    for tag, text in ((_TITLE, title), (_INSTRUCTIONS, instructions)):
        if text:
            SubElement(el, tag).text = text
    if form_type:
        hidden = SubElement(el, FIELD, {"var": _FORM_TYPE, "type": str(FieldType.HIDDEN)})
        SubElement(hidden, VALUE).text = form_type
    return el
