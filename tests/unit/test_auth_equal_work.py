"""Somebody unknown takes the same work as somebody known: what is looked up, opened and hashed is counted."""

import secrets

import pytest

from rainbow_xmpp.auth.authenticator import Attempts, Authenticator, Found, Guards
from rainbow_xmpp.auth.credentials import derive
from rainbow_xmpp.auth.pool import HashPool
from rainbow_xmpp.auth.seal import Sealer
from rainbow_xmpp.auth.throttle import Throttle
from rainbow_xmpp.auth.verified import VerifiedPasswords
from rainbow_xmpp.observe.metrics import Counters
from rainbow_xmpp.sasl import login_names
from rainbow_xmpp.store.values import Account, Company, LoginRecord, Role, Visibility

ROUNDS = 4096
COMPANY = Company("c" * 24, "Acme", "", Visibility.PRIVATE, "", "", False, 0)
ANN = Account("a" * 24, "ann", COMPANY, Role.USER, Visibility.SAME_THAN_COMPANY, "", "", False, 0, "")


class CountingSealer(Sealer):
    opened = 0

    def open(self, key_id, blob, account_id):
        self.opened += 1
        return super().open(key_id, blob, account_id)


class OneAccount:
    """Keeps nothing but Ann, and what was asked for."""

    def __init__(self, record: LoginRecord) -> None:
        self.record = record
        self.asked: list[str] = []

    async def for_login(self, identifier: str) -> LoginRecord | None:
        self.asked.append(identifier)
        return self.record if identifier in ("ann", "ann@acme.example") else None

    async def replace_imported(self, account: Account, sealed: bytes, key_id: str) -> None:
        raise AssertionError("nothing was imported")


@pytest.fixture
def pool():
    made = HashPool(1)
    yield made
    made.close()


@pytest.fixture
def work(pool):
    """Lets somebody try, and says what that took: lookups, openings, hashes."""
    sealer = CountingSealer(secrets.token_bytes(32))
    key_id, sealed = sealer.seal(derive("Right-1 password", ROUNDS), ANN.id)
    accounts = OneAccount(LoginRecord(ANN, sealed, key_id, None))
    hashed = []

    class CountingPool:
        async def run(self, function, *arguments):
            hashed.append(function)
            return await pool.run(function, *arguments)

    guards = Guards(Throttle(), Attempts(0), CountingPool(), VerifiedPasswords(), Counters())
    authenticator = Authenticator(accounts, accounts, sealer, guards, iterations=ROUNDS, clock=lambda: 0.0)

    async def attempt(name: str, by: str) -> tuple[object, tuple[int, int, int]]:
        accounts.asked.clear()
        hashed.clear()
        sealer.opened = 0
        names = login_names(name, "rainbow.test")
        if by == "PLAIN":
            found = await authenticator.check_password(names, "Wrong-1 password", "192.0.2.1")
        else:
            found = await authenticator.scram_keys(names, "sha256", "192.0.2.1")
        return found, (len(accounts.asked), sealer.opened, len(hashed))

    return attempt


@pytest.mark.parametrize(
    "name", ["{}", "{}@rainbow.test", "{}@acme.example", "{}\\40acme.example", "{}\\40rainbow.test"]
)
@pytest.mark.parametrize("by", ["SCRAM", "PLAIN"])
async def test_a_name_costs_the_same_whether_somebody_has_it_or_not(work, name, by):
    known, for_known = await work(name.format("ann"), by)
    unknown, for_unknown = await work(name.format("bob"), by)
    if by == "SCRAM":
        assert isinstance(known, Found) and known.account is ANN
        assert isinstance(unknown, Found) and unknown.account is None
        assert for_known == for_unknown
        assert for_known[1] == 1
    else:
        assert known == unknown
        assert (for_known[0], for_known[2]) == (for_unknown[0], for_unknown[2])
        assert for_known[2] == 1
