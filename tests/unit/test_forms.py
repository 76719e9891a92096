import string
from datetime import UTC, datetime
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rainbow_xmpp.errors import Condition, LocalMisuse
from rainbow_xmpp.jid import JID
from rainbow_xmpp.stanza.form_fields import FormError
from rainbow_xmpp.stanza.forms import Form, form_field
from rainbow_xmpp.xml import NO_LIMITS, parse, serialise

NS = "{jabber:x:data}"


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Report(Form, form_type="urn:example:report", title="Report a problem", instructions="Be brief."):
    subject: str = form_field("What is it about?", max_len=80, desc="In a few words")
    urgent: bool = form_field("Is it urgent?", default=False)
    story: str = form_field("The whole story", lines=True, default="")
    secret: str = form_field("A password", private=True, default="")
    people: tuple[JID, ...] = form_field("Whom does it concern?", default=())
    boss: JID | None = form_field("Who must know?", default=None, var="boss-jid")
    colour: Colour = form_field("Of which colour?", default=Colour.RED, heading="Details")
    colours: tuple[Colour, ...] = form_field("Others", default=())
    topic: str | None = form_field("Topic", options={"a": "Letter A", "b": "Letter B"}, default=None)
    level: int = form_field("How bad?", ge=1, le=5, default=3)
    ratio: float | None = form_field("How much?", default=None)
    since: datetime | None = form_field("Since when?", default=None)
    code: str | None = form_field("Code", pattern="[A-Z]{3}", default=None)
    words: tuple[str, ...] = form_field("Words", default=(), most=3)
    token: str = form_field(hidden=True, default="")


def submitted(**values: str | list[str] | None) -> Report:
    """What is read when these fields are submitted; None submits a field without a value."""
    return Report.from_xml(parse(xml_of("submit", {"subject": "x"} | values), limits=NO_LIMITS))


def xml_of(kind: str, values: dict[str, str | list[str] | None]) -> bytes:
    fields = ""
    for var, value in values.items():
        texts = [] if value is None else [value] if isinstance(value, str) else value
        fields += f"<field var='{var}'>{''.join(f'<value>{text}</value>' for text in texts)}</field>"
    return f"<x xmlns='jabber:x:data' type='{kind}'>{fields}</x>".encode()


def told(**values: str | list[str] | None) -> str:
    with pytest.raises(FormError) as wrong:
        submitted(**values)
    assert wrong.value.condition is Condition.NOT_ACCEPTABLE
    assert wrong.value.field == next(iter(values))
    return wrong.value.text


def test_a_blank_form_says_what_it_asks_and_shows_defaults():
    el = Report.blank(subject="Printer").to_xml()
    assert (el.get("type"), el.findtext(f"{NS}title")) == ("form", "Report a problem")
    assert el.findtext(f"{NS}instructions") == "Be brief."
    types = {f.get("var"): f.get("type") for f in el.iter(f"{NS}field") if f.get("var")}
    assert types == {
        "FORM_TYPE": "hidden",
        "subject": "text-single",
        "urgent": "boolean",
        "story": "text-multi",
        "secret": "text-private",
        "people": "jid-multi",
        "boss-jid": "jid-single",
        "colour": "list-single",
        "colours": "list-multi",
        "topic": "list-single",
        "level": "text-single",
        "ratio": "text-single",
        "since": "text-single",
        "code": "text-single",
        "words": "text-multi",
        "token": "hidden",
    }
    fields = {f.get("var"): f for f in el.iter(f"{NS}field")}
    assert [child.tag.removeprefix(NS) for child in fields["subject"]] == ["desc", "required", "value"]
    assert fields["subject"].findtext(f"{NS}value") == "Printer"
    assert fields["level"].findtext(f"{NS}value") == "3"
    assert [(o.get("label"), o[0].text) for o in fields["topic"].iter(f"{NS}option")] == [
        ("Letter A", "a"),
        ("Letter B", "b"),
    ]
    assert fields[None].get("type") == "fixed"
    assert fields[None][0].text == "Details"


def test_clients_are_told_how_to_validate():
    fields = {f.get("var"): f for f in Report.blank().to_xml().iter(f"{NS}field")}
    validate = "{http://jabber.org/protocol/xdata-validate}"
    level, code = fields["level"].find(f"{validate}validate"), fields["code"].find(f"{validate}validate")
    assert level is not None and code is not None
    assert (level.get("datatype"), level[0].attrib) == ("xs:integer", {"min": "1", "max": "5"})
    assert (code.get("datatype"), code[0].text) == ("xs:string", "[A-Z]{3}")
    assert fields["subject"].find(f"{validate}validate") is None


def test_what_is_submitted_comes_back_as_typed_values():
    report = submitted(
        urgent="1",
        story=["one", "two"],
        people=["Ann@Example.org", "ann@example.org", "bob@example.org/desk"],
        **{"boss-jid": "eve@example.org"},
        colours=["blue", "red"],
        level="5",
        since="2026-01-31T12:00:00Z",
        unknown="ignored",
    )
    assert report == Report(
        subject="x",
        urgent=True,
        story="one\ntwo",
        people=(JID.parse("ann@example.org"), JID.parse("bob@example.org/desk")),
        boss=JID.parse("eve@example.org"),
        colours=(Colour.RED, Colour.BLUE),
        level=5,
        since=datetime(2026, 1, 31, 12, tzinfo=UTC),
    )


def test_a_field_that_does_not_fit_is_named_as_people_and_programs_know_it():
    assert told(subject=None) == "What is it about (subject) is required"
    assert told(subject="y" * 81) == "What is it about (subject) has 81 characters; at most 80 are allowed"
    assert told(subject=["a", "b"]) == "What is it about (subject) takes one value only"
    assert told(subject="a\nb") == "What is it about (subject) takes one line only"
    assert told(urgent="yes") == "Is it urgent (urgent) must be true or false"
    assert told(people=["@"]) == "Whom does it concern (people) must be an address"
    assert told(colour="green") == "Of which colour (colour) is not one of the options"
    assert told(topic="c") == "Topic (topic) is not one of the options"
    assert told(level="6") == "How bad (level) must be at most 5"
    assert told(level="0") == "How bad (level) must be at least 1"
    assert told(level="many") == "How bad (level) must be a whole number"
    assert told(code="ABCD") == "Code (code) is not of the form that is asked for"
    assert told(words=["a", "b", "c", "d"]) == "Words (words) has 4 values; at most 3 are allowed"


def test_a_required_field_that_is_not_submitted_is_named():
    with pytest.raises(FormError) as wrong:
        Report.from_xml(parse(xml_of("submit", {}), limits=NO_LIMITS))
    assert wrong.value.text == "What is it about (subject) is required"


def test_what_is_left_out_stays_as_it_was_shown_and_what_is_emptied_is_empty():
    blank = Report.blank(subject="Printer", story="old", level=4, topic="a")
    kept = blank.read(parse(xml_of("submit", {"urgent": "true"}), limits=NO_LIMITS))
    assert (kept.subject, kept.story, kept.level, kept.topic) == ("Printer", "old", 4, "a")
    emptied = blank.read(
        parse(xml_of("submit", {"subject": "x", "story": "", "topic": None}), limits=NO_LIMITS)
    )
    assert (emptied.story, emptied.topic) == ("", None)


def test_options_may_be_known_only_when_the_form_is_shown():
    class Pick(Form):
        room: str = form_field("Room", options={})

    blank = Pick.blank(options={"room": {"kitchen": "The kitchen"}})
    assert [o[0].text for o in blank.to_xml().iter(f"{NS}option")] == ["kitchen"]
    assert blank.read(parse(xml_of("submit", {"room": "kitchen"}), limits=NO_LIMITS)).room == "kitchen"
    with pytest.raises(FormError):
        blank.read(parse(xml_of("submit", {"room": "hall"}), limits=NO_LIMITS))


def test_a_form_of_another_type_and_a_field_that_stands_there_twice_are_refused():
    other = xml_of("submit", {"subject": "x", "FORM_TYPE": "urn:example:other"})
    twice = b"<x xmlns='jabber:x:data' type='submit'><field var='subject'/><field var='subject'/></x>"
    for data in (other, twice, xml_of("form", {"subject": "x"}), b"<y xmlns='jabber:x:data' type='submit'/>"):
        with pytest.raises(FormError):
            Report.from_xml(parse(data, limits=NO_LIMITS))


def test_a_result_leaves_out_what_has_no_value():
    el = Report(subject="x", level=2).to_result()
    assert el.get("type") == "result"
    assert [f.get("var") for f in el.iter(f"{NS}field")] == [
        "FORM_TYPE",
        "subject",
        "urgent",
        "colour",
        "level",
    ]


def test_what_is_private_is_neither_shown_again_nor_printed():
    report = Report(subject="x", secret="hunter2")
    assert "hunter2" not in repr(report)
    assert b"hunter2" not in serialise(Report.blank().filled(report).to_xml())


def test_several_make_a_table():
    class Person(Form):
        jid: JID = form_field("Address")
        online: bool = form_field("Online")

    people = (
        Person(jid=JID.parse("ann@example.org"), online=True),
        Person(jid=JID.parse("bob@example.org"), online=False),
    )
    el = Person.table(people)
    assert [child.tag.removeprefix(NS) for child in el] == ["reported", "item", "item"]
    assert [(f.get("var"), f.get("type"), f.get("label")) for f in el[0]] == [
        ("jid", "jid-single", "Address"),
        ("online", "boolean", "Online"),
    ]
    assert Person.rows(el) == people


def test_a_derived_form_asks_more():
    class LongReport(Report, title="Report at length"):
        appendix: str = form_field("Appendix", default="")

    assert LongReport.form_type == "urn:example:report"
    assert [f.var for f in LongReport.fields()][-2:] == ["token", "appendix"]


def test_what_no_form_can_hold_is_a_mistake_of_the_author():
    class Wrong(Form):
        thing: dict[str, str] = form_field("Thing")

    class Doubled(Form):
        one: str = form_field("One", var="same")
        two: str = form_field("Two", var="same")

    for form in (Wrong, Doubled):
        with pytest.raises(LocalMisuse):
            form.fields()
    with pytest.raises(LocalMisuse):
        Report.blank(subjct="typo")


line = st.text(string.printable.replace("\n", "").replace("\r", "").replace("\x0b", "").replace("\x0c", ""))
jids = st.builds(
    JID, st.text(string.ascii_lowercase, min_size=1), st.sampled_from(["a.example", "b.example"])
)


@given(
    st.builds(
        Report,
        subject=line.filter(bool).map(lambda text: text[:80]),
        urgent=st.booleans(),
        story=st.lists(line).map("\n".join).filter(lambda text: text.strip("\n") == text),
        secret=line,
        people=st.lists(jids, unique=True).map(tuple),
        boss=st.none() | jids,
        colour=st.sampled_from(Colour),
        colours=st.sets(st.sampled_from(Colour)).map(lambda found: tuple(c for c in Colour if c in found)),
        topic=st.sampled_from([None, "a", "b"]),
        level=st.integers(1, 5),
        ratio=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        since=st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda t: t.replace(microsecond=0)),
        code=st.none() | st.text(string.ascii_uppercase, min_size=3, max_size=3),
        words=st.lists(line.filter(bool), unique=True, max_size=3).map(tuple),
        token=line,
    )
)
def test_every_form_survives_its_way_through_xml(report: Report):
    for el in (report.to_submit(), report.to_result()):
        assert Report.from_xml(parse(serialise(el), limits=NO_LIMITS)) == report


@given(
    st.dictionaries(
        st.sampled_from([f.var for f in Report.fields()]), st.lists(st.text("a1\n@é", max_size=9))
    )
)
def test_whatever_is_submitted_is_read_or_refused_by_name(values: dict[str, list[str]]):
    try:
        Report.from_xml(parse(xml_of("submit", dict(values)), limits=NO_LIMITS))
    except FormError as wrong:
        assert wrong.field in {f.var for f in Report.fields()}
