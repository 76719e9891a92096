"""Messages for people who are not online: kept until they come (RFC 6121 §8.5.2.2, XEP-0160)."""
