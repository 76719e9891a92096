"""Settings of the process."""

import ctypes
import gc
from collections.abc import Iterator

import pytest

from rainbow_xmpp.process import tune_allocator, tune_gc


class _OtherLibc:
    """A C library without glibc's own functions."""


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: _OtherLibc())
    assert tune_allocator() is False


@pytest.fixture
def own_gc() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("own_gc")
def test_what_exists_at_the_start_is_not_collected_again() -> None:
    tune_gc()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == (50_000, 20, 100)
