"""What a company wants of its people's passwords beyond what is configured."""

from dataclasses import replace

from rainbow_xmpp.config.auth import Password
from rainbow_xmpp.store.values import CompanySettings, PasswordNeed


def tightened(settings: Password, company: CompanySettings) -> Password:
    """Both taken together: never less than what is configured."""
    needs = company.password_needs
    return replace(
        settings,
        min_length=min(max(settings.min_length, company.password_min_length), settings.max_length),
        lower=settings.lower or PasswordNeed.LOWER in needs,
        upper=settings.upper or PasswordNeed.UPPER in needs,
        digit=settings.digit or PasswordNeed.DIGIT in needs,
        special=settings.special or PasswordNeed.SPECIAL in needs,
    )
