from rainbow_xmpp.plugin import Condition
from rainbow_xmpp.plugins.vcard_temp import VCardTemp
from rainbow_xmpp.testing import TestServer, condition_of

GET = "<vCard xmlns='vcard-temp'/>"
ANN = "<vCard xmlns='vcard-temp'><FN>Ann &amp; Co</FN><N><GIVEN>Ann</GIVEN></N></vCard>"


async def test_somebody_without_one_looks_like_nobody():
    async with TestServer([VCardTemp]) as server:
        ann, bob = await server.login("ann@acme"), await server.person("bob@acme")
        answers = []
        for to in (bob.bare, f"nob@{server.domain}"):
            ann.send(f"<iq type='get' id='v' to='{to}'>{GET}</iq>")
            answers.append((await ann.receive_bytes()).replace(to.encode(), b"WHO"))
        assert answers[0] == answers[1]
        assert b"service-unavailable" in answers[0]


async def test_one_that_is_too_large_changes_nothing():
    async with TestServer({VCardTemp: VCardTemp.Options(max_bytes=1024)}) as server:
        ann = await server.login("ann@acme")
        await ann.ask("set", ANN)
        large = f"<vCard xmlns='vcard-temp'><FN>{'x' * 1024}</FN></vCard>"
        assert condition_of(await ann.ask("set", large)) is Condition.POLICY_VIOLATION
        assert (await ann.ask("get", GET)).findtext(".//{vcard-temp}FN") == "Ann & Co"
