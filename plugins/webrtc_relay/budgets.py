"""How many bytes a second: of one allocation, of a company's, of all. What is more is dropped (RFC 8656 §5)."""

from __future__ import annotations

from collections.abc import Mapping

CHUNK = 65_536
"""So much at most is taken at once, so that the hot path has one number to look at."""
LEAST_BURST = 32_768
BURST_S = 0.5
"""Video comes in bursts: a budget that lay idle may be used up half a second ahead."""


class Budget:
    """A token bucket, and the one above it. Rates are bytes a second; 0 = no limit."""

    __slots__ = ("_above", "_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, above: Budget | None, now: float) -> None:
        self._above = above
        self._at = now
        self._rate = rate
        self._burst = self._level = burst_of(rate)

    def set_rate(self, rate: float) -> None:
        """Another rate, from now on."""
        self._rate = rate
        self._burst = burst_of(rate)
        self._level = min(self._level, self._burst)

    def take(self, now: float) -> int:
        """Some bytes that may pass; 0 when there are none now."""
        above = self._above
        if not self._rate:
            return CHUNK if above is None else above.take(now)
        level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        granted = min(int(level), CHUNK)
        if granted and above is not None:
            granted = above.take_up_to(granted, now)
        self._level = level - granted
        return granted

    def take_up_to(self, wanted: int, now: float) -> int:
        """At most so many."""
        above = self._above
        if self._rate:
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
            self._at = now
            wanted = min(wanted, int(self._level))
        if wanted and above is not None:
            wanted = above.take_up_to(wanted, now)
        if self._rate:
            self._level -= wanted
        return wanted


def burst_of(rate: float) -> float:
    """So many bytes may be used up ahead."""
    return max(rate * BURST_S, LEAST_BURST) if rate else 0.0


class Rates:
    """Bytes a second, as configured; 0 = no limit."""

    __slots__ = ("allocation", "companies", "company", "total")

    def __init__(
        self,
        allocation: float = 0.0,
        company: float = 0.0,
        total: float = 0.0,
        companies: Mapping[str, float] | None = None,
    ) -> None:
        self.allocation = allocation
        self.company = company
        self.total = total
        self.companies = dict(companies or {})
        """Another rate than `company` for these (first part of a userid)."""

    def of_company(self, company: str) -> float:
        return self.companies.get(company, self.company)


class Budgets:
    """The budgets of all that live."""

    def __init__(self, rates: Rates, now: float) -> None:
        self._rates = rates
        self._total = Budget(rates.total, None, now)
        self._companies: dict[str, tuple[Budget, int]] = {}
        self._allocations: set[Budget] = set()

    def open(self, company: str, now: float) -> Budget:
        """The budget of a new allocation of this company."""
        found = self._companies.get(company)
        if found is None:
            found = Budget(self._rates.of_company(company), self._total, now), 0
        self._companies[company] = found[0], found[1] + 1
        budget = Budget(self._rates.allocation, found[0], now)
        self._allocations.add(budget)
        return budget

    def close(self, company: str, budget: Budget) -> None:
        """The allocation is over."""
        self._allocations.discard(budget)
        shared, users = self._companies[company]
        if users == 1:
            del self._companies[company]
        else:
            self._companies[company] = shared, users - 1

    def configure(self, rates: Rates) -> None:
        """Other rates, for what lives too."""
        self._rates = rates
        self._total.set_rate(rates.total)
        for company, (budget, _) in self._companies.items():
            budget.set_rate(rates.of_company(company))
        for budget in self._allocations:
            budget.set_rate(rates.allocation)
