"""How a node is configured: the form of XEP-0060 §16.4.4, publish-options (§7.1.5), and how it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from rainbow_xmpp.plugin import Condition, Element, Form, FormError, form_field
from rainbow_xmpp.plugins.pep import faults
from rainbow_xmpp.plugins.pep.faults import fault
from rainbow_xmpp.stanza.form_fields import FIELD, FORM, VALUE, Field
from rainbow_xmpp.xml import names

NODE_CONFIG = f"{names.PUBSUB}#node_config"
PUBLISH_OPTIONS = f"{names.PUBSUB}#publish-options"
MAX = "max"
"""As many items as the server keeps."""

_ACCESS_MODEL = "pubsub#access_model"


class AccessModel(StrEnum):
    """Who may subscribe and retrieve (XEP-0060 §4.5), but for "authorize"."""

    OPEN = "open"
    PRESENCE = "presence"
    ROSTER = "roster"
    WHITELIST = "whitelist"


class SendLast(StrEnum):
    """When the last item is sent."""

    NEVER = "never"
    ON_SUB = "on_sub"
    ON_SUB_AND_PRESENCE = "on_sub_and_presence"


class NodeConfig(Form, form_type=NODE_CONFIG, title="Configuration of a node"):
    """Defaults are those of XEP-0163 §5."""

    node_title: str = form_field("Title", default="", var="pubsub#title", max_len=200)
    description: str = form_field("Description", default="", var="pubsub#description", max_len=1000)
    access_model: AccessModel = form_field(
        "Who may see it", default=AccessModel.PRESENCE, var="pubsub#access_model"
    )
    roster_groups_allowed: tuple[str, ...] = form_field(
        "Roster groups that may see it",
        default=(),
        var="pubsub#roster_groups_allowed",
        max_len=1023,
        most=100,
    )
    persist_items: bool = form_field("Keep items", default=True, var="pubsub#persist_items")
    max_items: str = form_field(
        "How many items are kept", default="1", var="pubsub#max_items", pattern="max|[1-9][0-9]{0,8}"
    )
    send_last_published_item: SendLast = form_field(
        "When the last item is sent",
        default=SendLast.ON_SUB_AND_PRESENCE,
        var="pubsub#send_last_published_item",
    )
    deliver_notifications: bool = form_field(
        "Tell others of new items", default=True, var="pubsub#deliver_notifications"
    )
    deliver_payloads: bool = form_field("With their content", default=True, var="pubsub#deliver_payloads")
    notify_config: bool = form_field(
        "Tell others of a changed configuration", default=False, var="pubsub#notify_config"
    )
    notify_delete: bool = form_field(
        "Tell others when the node is deleted", default=True, var="pubsub#notify_delete"
    )
    notify_retract: bool = form_field(
        "Tell others of items that are taken back", default=True, var="pubsub#notify_retract"
    )
    publish_model: str = form_field(
        "Who may publish",
        default="publishers",
        var="pubsub#publish_model",
        options={"publishers": "The account itself"},
    )
    notification_type: str = form_field(
        "The type of notifications",
        default="headline",
        var="pubsub#notification_type",
        options={"headline": ""},
    )

    def kept_items(self, most: int) -> int:
        """How many items stay, where a server keeps `most`."""
        return most if self.max_items == MAX else min(most, int(self.max_items))

    @property
    def sends_last(self) -> bool:
        """Whoever comes online gets the last item."""
        is_sent = self.send_last_published_item is SendLast.ON_SUB_AND_PRESENCE
        return is_sent and self.persist_items and self.deliver_notifications

    def as_text(self) -> str:
        """What differs from the defaults, to be kept; "" when nothing does."""
        texts = {
            each.name: each.texts(value)
            for each in _FIELDS
            if (value := getattr(self, each.name)) != each.default
        }
        return json.dumps(texts, ensure_ascii=False, sort_keys=True) if texts else ""

    @classmethod
    def from_text(cls, text: str) -> NodeConfig:
        """What `as_text` wrote."""
        if not text:
            return DEFAULT
        kept: dict[str, list[str]] = json.loads(text)
        return cls(**{f.name: f.read(kept[f.name], f.default) for f in _FIELDS if f.name in kept})


_FIELDS: tuple[Field, ...] = NodeConfig.fields()
_BY_VAR: Mapping[str, Field] = {each.var: each for each in _FIELDS}

DEFAULT = NodeConfig()


def configured(form: Element | None, before: NodeConfig, most_items: int) -> NodeConfig:
    """The configuration that a submitted form asks for; what it leaves out stays. Raises StanzaError."""
    if form is None:
        return before
    values = {each.name: getattr(before, each.name) for each in _FIELDS}
    try:
        config = NodeConfig.blank(**values).read(form)
    except FormError as error:
        raise _refused(error) from None
    check(config, most_items)
    return config


def options_of(form: Element) -> dict[str, Any]:
    """The preconditions in publish-options, by the names of the configuration. Raises StanzaError.

    §7.1.5: unknown fields make the publication fail.
    """
    if form.tag != FORM:
        raise faults.precondition_not_met()
    options: dict[str, Any] = {}
    for field in form.iterfind(FIELD):
        var, texts = field.get("var", ""), [value.text or "" for value in field.iterfind(VALUE)]
        if var == "FORM_TYPE":
            if texts not in ([PUBLISH_OPTIONS], [NODE_CONFIG]):
                raise FormError("these are no publish-options", field=var)
            continue
        if var not in _BY_VAR:
            raise FormError(f"the publish-option {var} is not known", field=var)
        known = _BY_VAR[var]
        try:
            options[known.name] = known.read(texts, known.default)
        except FormError as error:
            raise _refused(error) from None
    return options


def options_from(named: Mapping[str, str]) -> dict[str, Any]:
    """The same from values by the fields' names, without `pubsub#`."""
    fields = {name: _BY_VAR[f"pubsub#{name}"] for name in named}
    return {known.name: known.read([named[name]], known.default) for name, known in fields.items()}


def meets(config: NodeConfig, options: Mapping[str, Any]) -> bool:
    """The node is configured as the publisher expects."""
    return all(_alike(getattr(config, name), value) for name, value in options.items())


def check(config: NodeConfig, most_items: int) -> None:
    """Raise StanzaError for more items than the server keeps."""
    if config.max_items != MAX and int(config.max_items) > most_items:
        raise FormError(
            f"a node keeps at most {most_items} items; {MAX} asks for as many", field="pubsub#max_items"
        )


def _alike(one: object, other: object) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return set(one) == set(other)
    return one == other


def _refused(error: FormError) -> Exception:
    if error.field == _ACCESS_MODEL:  # §8.1.2
        return fault(Condition.NOT_ACCEPTABLE, "unsupported-access-model", error.text)
    return error
