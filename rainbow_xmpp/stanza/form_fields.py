"""The fields of data forms: what a field asks for, how it looks in XML, and what is made of an answer.

XEP-0004 §3.2 and §3.3; the simple kinds of validation of XEP-0122.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from rainbow_xmpp.errors import Condition, LocalMisuse, StanzaError
from rainbow_xmpp.jid import JID
from rainbow_xmpp.stanza.scalar import Scalar, scalar_of
from rainbow_xmpp.xml import names

FORM = f"{{{names.DATA_FORM}}}x"
FIELD = f"{{{names.DATA_FORM}}}field"
VALUE = f"{{{names.DATA_FORM}}}value"
_DESC = f"{{{names.DATA_FORM}}}desc"
_REQUIRED = f"{{{names.DATA_FORM}}}required"
_OPTION = f"{{{names.DATA_FORM}}}option"
_V = f"{{{names.DATA_FORM_VALIDATE}}}"

_DATATYPES: Mapping[type, str] = {int: "xs:integer", float: "xs:double", datetime: "xs:dateTime"}
"""What clients are told of a field that XEP-0004 has no type for (XEP-0122 §3.1)."""


class FieldType(StrEnum):
    """XEP-0004 §3.3."""

    BOOLEAN = "boolean"
    FIXED = "fixed"
    HIDDEN = "hidden"
    JID_MULTI = "jid-multi"
    JID_SINGLE = "jid-single"
    LIST_MULTI = "list-multi"
    LIST_SINGLE = "list-single"
    TEXT_MULTI = "text-multi"
    TEXT_PRIVATE = "text-private"
    TEXT_SINGLE = "text-single"


class FormError(StanzaError):
    """An answer that does not fit (XEP-0004 §4); `field` is the `var` of the field, "" for the form as a whole."""

    def __init__(self, text: str, *, field: str = "") -> None:
        super().__init__(Condition.NOT_ACCEPTABLE, text)
        self.field = field


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form's class says of a field, beside its type and default."""

    label: str = ""
    desc: str = ""
    var: str = ""
    heading: str = ""
    options: Mapping[str, str] | None = None
    is_private: bool = False
    is_hidden: bool = False
    has_lines: bool = False
    ge: Any = None
    le: Any = None
    max_len: int | None = None
    pattern: str = ""
    most: int = 1000


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form, ready to be written and read."""

    name: str
    """The attribute that holds its value."""
    var: str
    field_type: FieldType
    asked: Asked
    scalar: Scalar
    kind: type
    """The Python type of one value."""
    is_many: bool
    """Its value is a tuple."""
    may_be_none: bool
    is_required: bool
    default: Any

    # -- to XML ----------------------------------------------------------------------------------------

    def to_form(self, value: Any, options: Mapping[str, str] | None = None) -> Element:
        """The question, with this value filled in."""
        el = self._element(None if self.asked.is_private else value)
        if self.asked.desc:
            desc = Element(_DESC)
            desc.text = self.asked.desc
            el.insert(0, desc)
        if self.is_required:
            el.insert(1 if self.asked.desc else 0, Element(_REQUIRED))
        for option, label in (options or self.asked.options or {}).items():
            offered = SubElement(el, _OPTION, {"label": label} if label else {})
            SubElement(offered, VALUE).text = option
        validation = self._validation()
        if validation is not None:
            el.append(validation)
        return el

    def to_result(self, value: Any) -> Element:
        """The answer, for people to read."""
        return self._element(value)

    def to_submit(self, value: Any) -> Element:
        """The answer, as it is submitted."""
        el = Element(FIELD, {"var": self.var})
        self._write(value, el)
        return el

    def column(self) -> Element:
        """The head of a column (XEP-0004 §3.4)."""
        return Element(FIELD, self._attrs())

    def _element(self, value: Any) -> Element:
        el = Element(FIELD, self._attrs())
        self._write(value, el)
        return el

    def _attrs(self) -> dict[str, str]:
        attrs = {"var": self.var, "type": str(self.field_type)}
        return attrs | ({"label": self.asked.label} if self.asked.label else {})

    def _write(self, value: Any, el: Element) -> None:
        for text in self.texts(value):
            SubElement(el, VALUE).text = text or None

    def texts(self, value: Any) -> list[str]:
        """The value as it stands in `<value/>` elements."""
        if value is None:
            return []
        if self.is_many:
            return [self.scalar.write(each) for each in value]
        text = self.scalar.write(value)
        return text.split("\n") if self.asked.has_lines and text else [text]

    def _validation(self) -> Element | None:
        """XEP-0122 §3: what a client may check before it submits; it is checked again in any case."""
        asked, datatype = self.asked, _DATATYPES.get(self.kind, "")
        if not datatype and not asked.pattern:
            return None
        validate = Element(f"{_V}validate", {"datatype": datatype or "xs:string"})
        bounds = {"min": asked.ge, "max": asked.le}
        written = {name: self.scalar.write(bound) for name, bound in bounds.items() if bound is not None}
        if asked.pattern:
            SubElement(validate, f"{_V}regex").text = asked.pattern
        elif written:
            SubElement(validate, f"{_V}range", written)
        else:
            SubElement(validate, f"{_V}open" if self.is_many else f"{_V}basic")
        return validate

    # -- from XML --------------------------------------------------------------------------------------

    def read(
        self, texts: Sequence[str] | None, current: Any, options: Mapping[str, str] | None = None
    ) -> Any:
        """The value of what was submitted; None was not submitted and leaves what is there (§3.5). Raises FormError."""
        if texts is None:
            if self.is_required and current is dataclasses.MISSING:
                raise self.wrong("is required")
            return self.default if current is dataclasses.MISSING else current
        if not any(texts):
            return self._emptied()
        if self.is_many:
            return self._several(texts, options)
        if self.asked.has_lines:
            return self._one("\n".join(texts).replace("\r\n", "\n").replace("\r", "\n"), options)
        if len(texts) > 1:
            raise self.wrong("takes one value only")
        if "\n" in texts[0] or "\r" in texts[0]:
            raise self.wrong("takes one line only")
        return self._one(texts[0], options)

    def _emptied(self) -> Any:
        """It was submitted without anything in it (§3.6)."""
        if self.is_required:
            raise self.wrong("is required")
        if self.may_be_none:
            return None
        if self.is_many:
            return ()
        return "" if self.kind is str else self.default

    def _several(self, texts: Sequence[str], options: Mapping[str, str] | None) -> tuple[Any, ...]:
        """What stands there twice counts once; chosen options come in the order of the offer."""
        if len(texts) > self.asked.most:
            raise self.wrong(f"has {len(texts)} values; at most {self.asked.most} are allowed")
        values = tuple(dict.fromkeys(self._one(text, options) for text in texts if text))
        if self.field_type is not FieldType.LIST_MULTI:
            return values
        order = list(options or self.asked.options or ())
        return tuple(sorted(values, key=lambda value: order.index(self.scalar.write(value))))

    def _one(self, text: str, options: Mapping[str, str] | None) -> Any:
        asked, offered = self.asked, options or self.asked.options
        if offered is not None and text not in offered:
            raise self.wrong("is not one of the options")
        if asked.max_len is not None and len(text) > asked.max_len:
            raise self.wrong(f"has {len(text)} characters; at most {asked.max_len} are allowed")
        if asked.pattern and not re.fullmatch(asked.pattern, text):
            raise self.wrong("is not of the form that is asked for")
        try:
            value = self.scalar.read(text)
        except ValueError:
            raise self.wrong(f"must be {self.scalar.name}") from None
        if asked.ge is not None and value < asked.ge:
            raise self.wrong(f"must be at least {self.scalar.write(asked.ge)}")
        if asked.le is not None and value > asked.le:
            raise self.wrong(f"must be at most {self.scalar.write(asked.le)}")
        return value

    def wrong(self, problem: str) -> FormError:
        """An error that names the field, as people and as programs know it."""
        label = self.asked.label.rstrip("?:. ")
        named = f"{label} ({self.var})" if label else self.var
        return FormError(f"{named} {problem}", field=self.var)


def field_of(where: str, name: str, hint: Any, asked: Asked, default: Any) -> Field:
    """The field that a form's class declares. Raises LocalMisuse for what no form can hold."""
    kind, may_be_none, is_many = _taken_apart(hint)
    try:
        scalar = scalar_of(kind)
    except LocalMisuse as error:
        raise LocalMisuse(f"{where}.{name}: {error}") from None
    if issubclass(kind, Enum) and asked.options is None:
        asked = dataclasses.replace(asked, options={str(member.value): "" for member in kind})
    is_required = default is dataclasses.MISSING
    return Field(
        name=name,
        var=asked.var or name,
        field_type=_type_of(where, name, kind, asked, is_many=is_many),
        asked=asked,
        scalar=scalar,
        kind=kind,
        is_many=is_many,
        may_be_none=may_be_none,
        is_required=is_required,
        default=None if is_required else default,
    )


def _taken_apart(hint: Any) -> tuple[Any, bool, bool]:
    """The type of one value; whether it may be None; whether there are several."""
    plain, may_be_none = hint, False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        may_be_none = len(options) < len(typing.get_args(hint))
        plain = options[0] if len(options) == 1 else hint
    if typing.get_origin(plain) is tuple and typing.get_args(plain)[1:] == (...,):
        return typing.get_args(plain)[0], may_be_none, True
    return plain, may_be_none, False


def _type_of(where: str, name: str, kind: type, asked: Asked, *, is_many: bool) -> FieldType:
    if asked.is_hidden:
        return FieldType.HIDDEN
    if asked.options is not None:
        return FieldType.LIST_MULTI if is_many else FieldType.LIST_SINGLE
    if kind is JID:
        return FieldType.JID_MULTI if is_many else FieldType.JID_SINGLE
    if kind is bool and not is_many:
        return FieldType.BOOLEAN
    if asked.has_lines and (kind is not str or is_many):
        raise LocalMisuse(f"{where}.{name}: lines=True is for a field of the type str")
    if is_many or asked.has_lines:
        return FieldType.TEXT_MULTI
    return FieldType.TEXT_PRIVATE if asked.is_private else FieldType.TEXT_SINGLE
