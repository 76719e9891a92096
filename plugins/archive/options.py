"""What an administrator may choose about the archive."""

from rainbow_xmpp.plugin import PluginOptions, option


class ArchiveOptions(PluginOptions):
    """`[plugins.archive]`"""

    wait_days: int = option(
        90,
        "Days for which a message waits for a device that takes it; then it is in the archive only.",
        ge=1,
        le=3650,
        reload="live",
    )
    resend_days: int = option(
        7,
        "Days for which a message that is sent again, with the same origin-id, is known as the same.",
        ge=1,
        le=365,
        reload="live",
    )
    page: int = option(
        50,
        "Messages of a history that a client gets at once when it names no number.",
        ge=1,
        le=1000,
        reload="live",
    )
    largest_page: int = option(
        250, "Messages that a client may ask for at once.", ge=1, le=1000, reload="live"
    )
    full_text: bool = option(
        True,
        "People may search their history for words. The index of words takes about as much room as half the messages.",
        reload="live",
    )
