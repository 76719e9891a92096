"""`python -m rainbow_xmpp`: the same as the command `rainbow-xmpp`."""

from rainbow_xmpp.cli import main

main()
