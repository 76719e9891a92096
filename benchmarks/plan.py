"""How much load each scenario makes: two sizes, both with fixed seeds and fixed upper bounds."""

from dataclasses import dataclass

DOMAIN = "localhost"
WEBSOCKET_PATH = "/xmpp-websocket"
SERVER_CORE = 0
CLIENT_CORE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes of the scenarios. `*_s` are upper bounds in seconds for one command of the client."""

    seed: int = 20260101
    overall_s: int = 24 * 60  # nothing more is begun after that
    chat_sessions: int = 200
    chat_outstanding: int = 4
    chat_warm_up: int = 10_000
    chat_messages: int = 50_000
    chat_runs: int = 3
    chat_limit_s: int = 8
    open_rate: int = 2_000
    open_messages: int = 20_000
    idle_sessions: int = 2_000
    idle_settle_s: int = 4
    logins: int = 2_000
    login_accounts: int = 200
    login_concurrency: int = 50
    login_limit_s: int = 30
    reconnects: int = 10_000
    reconnect_sessions: int = 1_000
    reconnect_limit_s: int = 40
    contacts: int = 200
    presence_rounds: int = 100
    storm_people: int = 500
    gate_runs: int = 3
    history_messages: int = 1_000_000

    @property
    def accounts(self) -> int:
        """People with empty rosters come first, then the one with many contacts and the contacts."""
        return (
            max(self.idle_sessions, self.chat_sessions, self.login_accounts, self.reconnect_sessions)
            + 1
            + self.contacts
            + self.storm_people
        )

    @property
    def storm(self) -> int:
        """The first of those who log in at once: they come last."""
        return self.accounts - self.storm_people

    @property
    def hub(self) -> int:
        """The index of the account whose presence is fanned out."""
        return self.storm - 1 - self.contacts


FULL = Plan()
QUICK = Plan(
    overall_s=4 * 60,
    chat_sessions=50,
    chat_warm_up=1_000,
    chat_messages=5_000,
    chat_runs=1,
    chat_limit_s=4,
    open_messages=4_000,
    idle_sessions=200,
    idle_settle_s=1,
    logins=200,
    login_accounts=50,
    login_limit_s=5,
    reconnects=500,
    reconnect_sessions=100,
    reconnect_limit_s=5,
    contacts=50,
    presence_rounds=20,
    history_messages=50_000,
)
