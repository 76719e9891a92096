"""What an operator decides about second factors."""

from rainbow_xmpp.plugin import PluginOptions, option


class FactorOptions(PluginOptions):
    """`[plugins.second_factor]`"""

    issuer: str = option(
        "",
        "What authenticator apps call this service. Empty = the domain.",
        reload="live",
    )
    wrong_codes_per_hour: int = option(
        20,
        "Wrong codes an hour for one account, from wherever they come; more are not looked at. Whoever types a code "
        "knew the password.",
        ge=5,
        le=100,
        reload="live",
    )
    enrolment_minutes: int = option(
        15, "For so long a new secret waits to be confirmed.", ge=5, le=60, reload="live"
    )
