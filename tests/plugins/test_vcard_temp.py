import pytest

from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.company_isolation import CompanyIsolation
from rainbow_xmpp.plugins.vcard_temp import VCardTemp
from rainbow_xmpp.testing import TestServer, condition_of
from rainbow_xmpp.xml import serialise

GET = "<vCard xmlns='vcard-temp'/>"
ANN = "<vCard xmlns='vcard-temp'><FN>Ann &amp; Co</FN><N><GIVEN>Ann</GIVEN></N></vCard>"


@pytest.mark.parametrize("addressed", [False, True])
async def test_ones_own_is_kept_and_replaced(addressed):
    async with TestServer([VCardTemp]) as server:
        ann = await server.login("ann@acme")
        to = ann.bare if addressed else ""
        assert (await ann.ask("set", "<vCard xmlns='vcard-temp'><FN>?</FN></vCard>", to=to)).get(
            "type"
        ) == "result"
        assert (await ann.ask("set", ANN, to=to)).get("type") == "result"
        answer = await ann.ask("get", GET, to=to)
        assert serialise(answer[0]).decode() == ANN


async def test_ones_own_is_empty_before_it_was_written():
    async with TestServer([VCardTemp]) as server:
        ann = await server.login("ann@acme")
        answer = await ann.ask("get", GET)
        assert (answer.get("type"), answer[0].tag, len(answer[0])) == ("result", "{vcard-temp}vCard", 0)


async def test_a_colleague_reads_it_while_its_owner_is_away():
    async with TestServer([VCardTemp]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        await ann.ask("set", ANN)
        await ann.leave()
        answer = await bob.ask("get", GET, to=ann.bare)
        assert answer.findtext(".//{vcard-temp}FN") == "Ann & Co"
        assert answer.get("from") == ann.bare


async def test_somebody_without_one_looks_like_nobody():
    async with TestServer([VCardTemp]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        answers = []
        for to in (bob.bare, f"nob@{server.domain}"):
            ann.send(f"<iq type='get' id='v' to='{to}'>{GET}</iq>")
            answers.append((await ann.receive_bytes()).replace(to.encode(), b"WHO"))
        assert answers[0] == answers[1]
        assert b"service-unavailable" in answers[0]


async def test_another_companys_looks_like_nobodys():
    async with TestServer([VCardTemp, CompanyIsolation]) as server:
        ann, carol = await server.login("ann@acme"), await server.login("carol@globex")
        await carol.ask("set", ANN)
        assert condition_of(await ann.ask("get", GET, to=carol.bare)) is Condition.SERVICE_UNAVAILABLE
        assert condition_of(await ann.ask("set", ANN, to=carol.bare)) is Condition.SERVICE_UNAVAILABLE


async def test_nobody_writes_somebody_elses():
    async with TestServer([VCardTemp]) as server:
        ann, bob = await server.login("ann@acme"), await server.login("bob@acme")
        assert condition_of(await ann.ask("set", ANN, to=bob.bare)) is Condition.FORBIDDEN
        assert len((await bob.ask("get", GET))[0]) == 0


async def test_one_that_is_too_large_changes_nothing():
    async with TestServer({VCardTemp: VCardTemp.Options(max_bytes=1024)}) as server:
        ann = await server.login("ann@acme")
        await ann.ask("set", ANN)
        large = f"<vCard xmlns='vcard-temp'><FN>{'x' * 1024}</FN></vCard>"
        assert condition_of(await ann.ask("set", large)) is Condition.POLICY_VIOLATION
        assert (await ann.ask("get", GET)).findtext(".//{vcard-temp}FN") == "Ann & Co"
