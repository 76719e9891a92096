"""What there is to say about plugins without running them: where they come from, what they do, in which order."""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rainbow_xmpp.plugin import marks
from rainbow_xmpp.plugin.api import EndpointMark
from rainbow_xmpp.plugin.base import Plugin
from rainbow_xmpp.router.stages import Hook, Stage, in_order

_SHIPPED = "rainbow_xmpp.plugins."
_FROM_A_FOLDER = "rainbow_xmpp_plugin_paths."

_WORDS: dict[type[marks.Mark], str] = {
    marks.IqMark: "requests",
    marks.PresenceMark: "presence",
    marks.NonzaMark: "nonzas",
    marks.EventMark: "events",
    marks.JobMark: "jobs",
    marks.RouteMark: "HTTP paths",
    marks.RoutesMark: "HTTP paths",
    EndpointMark: "API",
    marks.DiscoMark: "discovery",
    marks.CommandMark: "commands",
    marks.LoginMark: "logins",
    marks.AccessMark: "access",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A plugin in a stage. `may_fail`: what it records need not be kept."""

    plugin: str
    may_fail: bool


def source_of(cls: type[Plugin]) -> str:
    """ "shipped", the package and its version, or the folder or file of `plugin_paths`."""
    module = cls.__module__
    if module.startswith(_SHIPPED):
        return "shipped"
    if not module.startswith(_FROM_A_FOLDER):
        top = module.partition(".")[0]
        for package in importlib.metadata.packages_distributions().get(top, ()):
            return f"{package} {importlib.metadata.version(package)}"
    file = Path(inspect.getfile(cls))
    place = file.parent if file.name == "__init__.py" else file
    return str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)


def stages_of(cls: type[Plugin]) -> list[Stage]:
    """The stages in which it is asked, in their order."""
    found = {hook.stage for hook in _hooks(cls)}
    return [stage for stage in Stage if stage in found]


def surfaces_of(cls: type[Plugin]) -> list[str]:
    """What else it does, in words such as "requests" and "jobs"."""
    declared = [mark for mark, _ in cls.declarations()]
    found = (word for kind, word in _WORDS.items() if any(isinstance(mark, kind) for mark in declared))
    words = list(dict.fromkeys(found))
    if any(isinstance(mark, marks.MessageMark) and mark.to_server for mark in declared):
        words.append("messages to the server")
    return words


def stages(classes: Iterable[type[Plugin]]) -> dict[Stage, list[Place]]:
    """The plugins that each stage asks, in the order in which it asks them. LocalMisuse where they contradict."""
    hooks = [hook for cls in classes for hook in _hooks(cls)]
    return {
        stage: list(
            dict.fromkeys(
                Place(hook.owner, may_fail=not hook.is_needed)
                for hook in in_order(hook for hook in hooks if hook.stage is stage)
            )
        )
        for stage in Stage
    }


def _hooks(cls: type[Plugin]) -> list[Hook]:
    found: list[Hook] = []
    for mark, name in cls.declarations():
        handler = getattr(cls, name)
        if isinstance(mark, marks.HookMark):
            found.append(Hook(mark.stage, handler, cls.name, mark.before, mark.after, mark.is_needed))
        elif isinstance(mark, marks.MessageMark) and not mark.to_server:
            found.append(Hook(Stage.RECORD, handler, cls.name))
    return found
