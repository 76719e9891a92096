"""Service levels in the API."""

from rainbow_xmpp.config import ServiceLevel
from rainbow_xmpp.config.levels import SHIPPED_LEVELS
from rainbow_xmpp.plugins.mfa_pin import MfaPin
from rainbow_xmpp.plugins.rest_api import RestApi
from rainbow_xmpp.store.values import Role
from rainbow_xmpp.testing import TestServer
from tests.plugins.rest import Caller, logged_in


async def administrator(server: TestServer) -> Caller:
    await server.person("ann@acme", role=Role.COMPANY_ADMIN)
    return await logged_in(server, "ann@acme")


async def test_everybody_who_is_logged_in_reads_what_the_levels_give() -> None:
    async with TestServer([RestApi]) as server:
        bob = await logged_in(server, "bob@acme")
        levels = (await bob.get("/service-levels"))["items"]
        assert [level["name"] for level in levels] == ["essential", "business", "enterprise"]
        assert levels[1]["archive_days"] == SHIPPED_LEVELS["business"].archive_days


async def test_people_see_what_they_get_and_a_reload_changes_it() -> None:
    async with TestServer([RestApi]) as server:
        ann = await administrator(server)
        me = await ann.get("/users/me")
        assert (me["service_level"], me["level"]["name"], me["level"]["upload_mb"]) == ("", "essential", 10)
        server.node.levels.configured = {"essential": ServiceLevel(upload_mb=3)}
        assert (await ann.get("/users/me"))["level"]["upload_mb"] == 3


async def test_a_level_that_is_not_configured_is_a_422_that_names_the_field() -> None:
    async with TestServer([RestApi]) as server:
        ann = await administrator(server)
        bob = (await server.person("bob@acme")).account
        path = f"/companies/{bob.company.id}/users/{bob.id}"
        refused = await ann.call("PATCH", path, {"service_level": "bussiness"})
        assert refused.status == 422
        assert 'did you mean "business"?' in refused.json()["errors"]["service_level"]
        changed = await ann.call("PATCH", path, {"service_level": "business"})
        assert (changed.status, changed.json()["service_level"]) == (200, "business")
        back = await ann.call("PATCH", path, {"service_level": ""})
        assert (back.status, back.json()["service_level"]) == (200, "")


async def test_a_company_that_is_full_is_a_422_that_says_so() -> None:
    async with TestServer([RestApi, MfaPin]) as server:
        ann = await administrator(server)
        server.node.levels.configured = {"essential": ServiceLevel(max_members=1)}
        company = ann.person.account.company.id
        refused = await ann.call("POST", f"/companies/{company}/users", {"email": "new@acme.example"})
        assert (refused.status, refused.json()["type"]) == (422, "urn:rainbow:problem:not-allowed")
        assert "allows 1" in refused.text
