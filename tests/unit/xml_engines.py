"""The engines of the XML layer, for tests that hold for each."""

from types import ModuleType

import pytest

from rainbow_xmpp.xml import pure

try:
    from rainbow_xmpp.xml import compiled
except ImportError:
    ENGINES = [pytest.param(pure, id="python")]
else:
    ENGINES = [pytest.param(pure, id="python"), pytest.param(compiled, id="compiled")]

CLIENT = "jabber:client"


@pytest.fixture(params=ENGINES)
def xml(request: pytest.FixtureRequest) -> ModuleType:
    """An engine: `scan`, `stamp`, `Framer`, `View`."""
    engine: ModuleType = request.param
    return engine
