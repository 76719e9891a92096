"""Bounded load on loopback: what one delivered message, one session and one login cost a server.

`python -m benchmarks` runs it; README.md says what is measured and how to read it. It is no part of
the tests and nothing else imports it.
"""
