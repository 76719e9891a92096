"""Plays: how they are read, what they expect, and what they say when the server does otherwise."""

from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import pytest

from rainbow_xmpp.testing import TestServer
from rainbow_xmpp.testing.play import (
    MemoryVenue,
    PlayError,
    PlayFailed,
    Scene,
    perform,
    read_play,
    read_plays,
)
from rainbow_xmpp.testing.play.comparison import Reader, compare

HEADER = "play: A test\nspec: none\ncast: ann, bob with laptop and phone, eve of Globex\n"
GUIDE = Path(__file__).parents[2] / "docs/plugin-authors/plays.md"
ONLINE = "scene: it\nann and bob's phone come online\n"
ANN = Reader("ann@a.test", "ann@a.test/device")


def play(tmp_path: Path, text: str, header: str = HEADER) -> list[Scene]:
    file = tmp_path / "a.play"
    file.write_text(header + text)
    return read_play(file)


async def act(scene: Scene) -> None:
    async with TestServer() as server:
        await perform(scene, MemoryVenue(server))


# Reading


def test_a_scene_knows_its_people_and_where_it_stands(tmp_path):
    (scene,) = play(tmp_path, "needs: ping, offline\nnot on prosody: it is silly\nscene: it\nann logs in\n")
    assert [(m.name, m.company, m.device_names) for m in scene.cast] == [
        ("ann", "Acme", ("device",)),
        ("bob", "Acme", ("laptop", "phone")),
        ("eve", "Globex", ("device",)),
    ]
    assert (scene.needs, scene.not_on) == (("ping", "offline"), {"prosody": "it is silly"})
    assert (scene.line, str(scene)) == (6, "a: it")


def test_a_scene_may_have_settings_of_its_own(tmp_path):
    first, second = play(tmp_path, "scene: a\ncast: tom\ntom logs in\nscene: b\nann logs in\n")
    assert [member.name for member in first.cast] == ["tom"]
    assert len(second.cast) == 3


def test_what_every_scene_begins_with_stands_once(tmp_path):
    scenes = play(
        tmp_path, "every scene begins:\nann logs in\n\nscene: a\nann disconnects\nscene: b\neve logs in\n"
    )
    assert [len(scene.steps) for scene in scenes] == [2, 2]


def test_the_plays_of_a_folder_come_in_order(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.play").write_text(HEADER + "scene: it\nann logs in\n")
    assert [str(scene) for scene in read_plays(tmp_path)] == ["a: it", "b: it"]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("scene: it\nann dances", 5, "'ann dances' is no sentence of plays"),
        ("scene: it\ntom logs in", 5, "tom is not one of ann, bob's laptop, bob's phone, eve"),
        ("scene: it\nbob logs in", 5, "bob is not one of"),
        ("scene: it\nann is subscribed to tom", 5, "tom is not in the cast"),
        ("scene: it\nann sends:", 5, "no XML stands behind it"),
        ("scene: it\nann logs in\n  <presence/>", 5, "nothing may stand behind it"),
        ("scene: it\nann sends:\n  <presence>\n  </presenc>", 7, "is not XML: mismatched tag"),
        ("scene: it\nann sends:\n  <presence/><presence/>", 6, "one element begins at each line"),
        ("scene: it\nann gets rubbish for q1", 5, "rubbish is no condition"),
        ("scene: it\nann logs in\ncast: eve", 6, "cast stands before the first step"),
        ("scene: it", 4, "nothing happens in this scene"),
        ("scene: it\nann logs in\nscene: it\nann logs in", 6, "another scene has this title"),
        ("ann logs in", 4, "neither a setting nor"),
        ("cast: ann from Acme", 4, "'ann from Acme' is not"),
    ],
)
def test_what_cannot_be_understood_is_named_with_its_line(tmp_path, text, line, problem):
    with pytest.raises(PlayError, match=f"a.play:{line}: {problem}") as caught:
        play(tmp_path, text)
    assert caught.value.place.line == line


@pytest.mark.parametrize("missing", ["play", "spec", "cast"])
def test_a_play_says_what_it_is(tmp_path, missing):
    header = "".join(line for line in HEADER.splitlines(True) if not line.startswith(missing))
    with pytest.raises(PlayError, match=f"does not say its {missing}"):
        play(tmp_path, "scene: it\n", header)


# Comparing


def xml(text: str) -> Element:
    return fromstring(f"<w xmlns='jabber:client'>{text}</w>")[0]


def differences(pattern: str, came: str, **known: str) -> tuple[str, ...]:
    return compare(xml(pattern), xml(came), known, ANN).differences


@pytest.mark.parametrize(
    ("pattern", "came"),
    [
        ("<message from='b@a'/>", "<message from='b@a' id='1' xml:lang='en' to='ann@a.test'/>"),
        ("<message from='b@a'/>", "<message to='ann@a.test/device' from='b@a'/>"),
        ("<iq type='result'/>", "<iq type='result' from='ann@a.test'/>"),
        ("<iq type='result'/>", "<iq type='result'/>"),
        ("<iq a='*' type='x | y'/>", "<iq type='y' a='?'/>"),
        ("<iq a='(absent) | 1'/>", "<iq/>"),
        ("<iq><a/><b x='1'/></iq>", "<iq><b x='1'/><a/></iq>"),
        ("<iq><a/>...</iq>", "<iq><b/><a/></iq>"),
        ("<iq>...</iq>", "<iq><b/>text</iq>"),
        ("<iq>\n  <a/>\n</iq>", "<iq><a/></iq>"),
        ("<iq><a>*</a></iq>", "<iq><a>anything</a></iq>"),
        ("<iq><a> x </a></iq>", "<iq><a> x </a></iq>"),
        ("<iq><a x='{n}'/><a x='{n}'/></iq>", "<iq><a x='1'/><a x='1'/></iq>"),
        ("<iq a='{{x}}'/>", "<iq a='{x}'/>"),
        ("<iq a='{ann}/1'/>", "<iq a='ann@a.test/1'/>"),
    ],
)
def test_a_stanza_that_is_as_wanted(pattern, came):
    assert differences(pattern, came, ann="ann@a.test") == ()


@pytest.mark.parametrize(
    ("pattern", "came", "told"),
    [
        ("<message from='b@a'/>", "<presence from='b@a'/>", "message: is <presence from='b@a'/>"),
        ("<iq/>", "<iq from='b@a'/>", "iq: from is 'b@a', expected '(absent) | ann@a.test'"),
        ("<iq/>", "<iq to='b@a'/>", "iq: to is 'b@a', expected '(absent) | ann@a.test | ann@a.test/device'"),
        ("<iq a='1'/>", "<iq/>", "iq: a is missing, expected '1'"),
        ("<iq/>", "<iq a='1'/>", "iq: has a='1', which was not expected"),
        ("<iq a='*'/>", "<iq/>", "iq: a is missing, expected '*'"),
        ("<iq><a>x</a></iq>", "<iq><a> x</a></iq>", "iq/a: says ' x', expected 'x'"),
        ("<iq><a/></iq>", "<iq><a xmlns='u'/></iq>", "iq: lacks <a/>"),
        ("<iq/>", "<iq><a xmlns='u' b='1'/></iq>", "iq: has <a xmlns='u' b='1'/>, which was not expected"),
        ("<iq><a><b/></a></iq>", "<iq><a/></iq>", "iq/a: lacks <b/>"),
        ("<iq a='{n}' b='{n}'/>", "<iq a='1' b='2'/>", "iq: b is '2', expected '{n}'"),
    ],
)
def test_what_differs_is_told_in_words(pattern, came, told):
    assert told in differences(pattern, came)


def test_a_name_stands_for_what_came_there():
    found = compare(
        xml("<iq id='{id}'><a>no. {n}</a></iq>"), xml("<iq id='7'><a>no. 12</a></iq>"), {}, ANN
    ).found
    assert found == {"id": "7", "n": "12"}


# Performing


async def test_a_conversation_with_two_devices(tmp_path):
    (scene,) = play(
        tmp_path,
        ONLINE
        + """
bob's laptop logs in
ann sends:
    <message to='{bob}' type='chat' id='m1'><body>hello</body></message>
    <iq to='{bob/laptop}' type='get' id='q1'><a xmlns='u'/></iq>
bob's phone receives:
    <message from='{ann/device}' to='{bob}' type='chat' id='{message}'><body>*</body></message>
bob's laptop receives:
    <iq from='{ann/device}' type='get' id='q1'><a xmlns='u'/></iq>
bob's laptop receives nothing
bob's phone sends:
    <message to='{ann/device}'><reply xmlns='u' to='{message}'/></message>
ann receives:
    <message from='{bob/phone}'><reply xmlns='u' to='m1'/></message>
bob's phone loses the connection
ann sends:
    <iq to='{bob/phone}' type='get' id='q2'><a xmlns='u'/></iq>
ann gets service-unavailable for q2
""",
    )
    await act(scene)


async def test_people_who_know_each_other_of_old(tmp_path):
    (scene,) = play(
        tmp_path,
        """scene: it
ann and eve are subscribed to each other
ann comes online
eve logs in
eve sends:
    <presence/>
eve receives in any order:
    <presence from='{ann/device}'/>
    <presence from='{eve/device}'/>
ann skips the rest
ann fetches the roster:
    <item jid='{eve}' subscription='both'/>
""",
    )
    await act(scene)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("ann receives:\n  <message from='{eve}'/>", 6, "ann received nothing"),
        ("ann sends:\n  <message to='{ann}'/>", 6, "at the end ann received more than was expected"),
        (
            "ann sends:\n  <message to='{ann}'/>\nann receives nothing",
            8,
            "ann received more than was expected",
        ),
        ("ann sends:\n  <message to='{ann}'/>\nann receives:\n  <iq/>", 8, "ann received something else"),
        (
            "ann sends:\n  <message to='{ann}'/>\nann receives in any order:\n  <iq/>\n  <presence/>",
            8,
            "ann received something else",
        ),
    ],
)
async def test_what_the_server_does_otherwise_is_told_with_its_line(tmp_path, text, line, told):
    (scene,) = play(tmp_path, ONLINE + text)
    with pytest.raises(PlayFailed, match=f"a.play:{line}: {told}"):
        await act(scene)


async def test_what_came_is_shown_as_the_play_would_write_it(tmp_path):
    text = "ann sends:\n  <message to='{bob}'><body/></message>\nbob's phone receives:\n  <message from='{ann}'/>"
    (scene,) = play(tmp_path, ONLINE + text)
    with pytest.raises(PlayFailed) as caught:
        await act(scene)
    assert str(caught.value).splitlines()[1:] == [
        "  expected  <message from='{ann}'/>",
        "  came      <message from='{ann/device}' to='{bob}'><body/></message>",
        "  differs   message: from is 'ann@rainbow.test/device', expected '{ann}'",
        "  differs   message: has <body/>, which was not expected",
    ]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("ann sends:\n  <message to='{tom}'/>", 6, "{tom} stands for nothing yet"),
        ("ann sends:\n  <message to='{bob/laptop}'/>", 6, "{bob/laptop} stands for nothing yet"),
        ("eve receives nothing", 6, "eve is not logged in"),
        ("ann logs in", 6, "ann is logged in already"),
        ("ann gets a result for q1", 6, "ann has sent nothing with the id q1"),
        ("ann is subscribed to eve", 6, "subscriptions of old are told before"),
    ],
)
async def test_a_play_that_makes_no_sense_is_told_so(tmp_path, text, line, problem):
    (scene,) = play(tmp_path, ONLINE + text)
    with pytest.raises(PlayError, match=f"a.play:{line}: {problem}"):
        await act(scene)


async def test_what_may_come_is_not_missed_and_not_in_the_way(tmp_path):
    text = """ann may receive:
    <message from='{bob/phone}'/>
ann receives nothing
bob's phone sends:
    <message to='{ann}'/>
    <message to='{ann}'><body>x</body></message>
ann receives:
    <message from='{bob/phone}'><body>x</body></message>
"""
    (scene,) = play(tmp_path, ONLINE + text)
    await act(scene)


async def test_the_guides_example_is_a_play(tmp_path):
    example = GUIDE.read_text().split("```")[1].lstrip()
    for scene in play(tmp_path, example, header=""):
        await act(scene)
