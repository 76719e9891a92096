"""A play as it was read: who takes part, and what is said and done in each scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rainbow_xmpp.testing.play.steps import Step

ONLY_DEVICE = "device"
"""What the device of somebody is called who has just one."""


@dataclass(frozen=True, slots=True)
class Device:
    """What somebody logs in with; in plays "ann" or "ann's phone"."""

    person: str
    name: str = ONLY_DEVICE

    def __str__(self) -> str:
        return self.person if self.name == ONLY_DEVICE else f"{self.person}'s {self.name}"

    @property
    def reference(self) -> str:
        """What stands in braces for its full JID: "ann/phone"."""
        return f"{self.person}/{self.name}"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who takes part."""

    name: str
    company: str
    device_names: tuple[str, ...] = (ONLY_DEVICE,)

    @property
    def devices(self) -> tuple[Device, ...]:
        return tuple(Device(self.name, name) for name in self.device_names)


@dataclass(frozen=True, slots=True)
class Scene:
    """One conversation, which needs nothing but a server: its people are made for it."""

    file: Path
    line: int
    play: str
    spec: str
    title: str
    cast: tuple[Member, ...]
    needs: tuple[str, ...] = ()
    """The plugins without which it cannot be played."""
    not_on: Mapping[str, str] = field(default_factory=dict)
    """Servers which do otherwise, and why."""
    steps: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return f"{self.file.stem}: {self.title}".replace("§", "")

    @property
    def devices(self) -> tuple[Device, ...]:
        return tuple(device for member in self.cast for device in member.devices)
