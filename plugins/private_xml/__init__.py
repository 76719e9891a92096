"""Private XML storage: a client keeps its own data with the account (XEP-0049)."""
