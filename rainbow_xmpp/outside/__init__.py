"""Calls to other people's servers: by https, to hosts that an operator named, and never into the own network."""

from rainbow_xmpp.outside.addresses import is_public
from rainbow_xmpp.outside.client import NotReached, Outside, Reached
from rainbow_xmpp.outside.patience import wait_s
from rainbow_xmpp.outside.urls import MAX_URL, NotAllowedUrl, judge_url, problem_of_host

__all__ = [
    "MAX_URL",
    "NotAllowedUrl",
    "NotReached",
    "Outside",
    "Reached",
    "is_public",
    "judge_url",
    "problem_of_host",
    "wait_s",
]
