"""The pipeline that every stanza goes through, and the rules of delivery."""

from rainbow_xmpp.router.passage import Outcome, Passage
from rainbow_xmpp.router.pipeline import Absent, Pipeline
from rainbow_xmpp.router.stages import Hook, Stage

__all__ = ["Absent", "Hook", "Outcome", "Passage", "Pipeline", "Stage"]
