"""What the one who runs a command is told: the next form, or the result."""

from __future__ import annotations

from rainbow_xmpp.plugin import CommandAnswer, Form, Note, Part
from rainbow_xmpp.plugins.adhoc.conversation import Question
from rainbow_xmpp.plugins.adhoc.payloads import Action, Actions, Command, NoteElement, Status

LANG = "en"
"""The language of forms and notes (XEP-0050 §3.7)."""


def asking(node: str, session_id: str, question: Question) -> Command:
    """A form to be filled in, with what may be done then (§3.4)."""
    more = question.has_more
    actions = Actions(
        Action.NEXT if more else Action.COMPLETE,
        prev=not question.is_first,
        next=more,
        complete=not more,
    )
    return Command(
        node,
        session_id,
        status=Status.EXECUTING,
        lang=LANG,
        actions=actions,
        notes=_notes(Note(question.note)) if question.note else (),
        extra=(question.blank.to_xml(),),
    )


def completed(node: str, session_id: str, answer: CommandAnswer) -> Command:
    """The command is done; how it went is in the notes (§3.6)."""
    parts: tuple[Part, ...] = () if answer is None else answer if isinstance(answer, tuple) else (answer,)
    notes = [part if isinstance(part, Note) else Note(part) for part in parts if isinstance(part, str | Note)]
    shown = [part for part in parts if not isinstance(part, str | Note)]
    forms = tuple(part.to_result() if isinstance(part, Form) else part for part in shown)
    return Command(node, session_id, status=Status.COMPLETED, lang=LANG, notes=_notes(*notes), extra=forms)


def _notes(*notes: Note) -> tuple[NoteElement, ...]:
    return tuple(NoteElement(note.severity, note.text) for note in notes)
