"""The order of handlers in a stage, and which handlers fit."""

import pytest

from rainbow_xmpp.errors import LocalMisuse
from rainbow_xmpp.router.stages import Hook, Stage, check_signature, in_order


def gate(owner: str, **where: str) -> Hook:
    return Hook(
        Stage.GATE,
        lambda passage: None,
        owner,
        **{key: frozenset(value.split()) for key, value in where.items()},
    )


@pytest.mark.parametrize(
    ("hooks", "expected"),
    [
        ([gate("b"), gate("a"), gate("c")], "a b c"),
        ([gate("a", after="c"), gate("b"), gate("c")], "b c a"),
        ([gate("c", before="a"), gate("a"), gate("b")], "b c a"),
        ([gate("a", after="b"), gate("b", after="c"), gate("c")], "c b a"),
        ([gate("a", after="not_here"), gate("b", before="nor_here")], "a b"),
        ([gate("b"), gate("a", after="b"), gate("b")], "b b a"),
    ],
)
def test_handlers_stand_by_name_and_then_as_they_ask(hooks, expected):
    assert " ".join(hook.owner for hook in in_order(hooks)) == expected


def test_handlers_of_one_plugin_keep_the_order_they_came_in():
    first, second = gate("a"), gate("a")
    assert in_order([first, gate("b", before="a"), second])[1:] == [first, second]


@pytest.mark.parametrize(
    "hooks",
    [
        [gate("a", before="b"), gate("b", before="a")],
        [gate("a", after="b"), gate("b", after="c"), gate("c", after="a")],
    ],
)
def test_a_circle_is_refused_and_named(hooks):
    with pytest.raises(LocalMisuse, match="contradict each other: a, b"):
        in_order(hooks)


async def async_handler(passage) -> None:
    pass


@pytest.mark.parametrize(
    ("stage", "handler", "expected"),
    [
        (Stage.GATE, lambda: None, "def handler(self, passage)"),
        (Stage.GATE, lambda passage, more: None, "def handler(self, passage)"),
        (Stage.OBSERVE, lambda passage: None, "def handler(self, passage, outcome)"),
        (Stage.GATE, async_handler, "expected: def handler(self, passage)"),
        (Stage.REWRITE, async_handler, "expected: def handler(self, passage)"),
        (Stage.PLACE, lambda: None, "def or async def handler(self, passage)"),
    ],
)
def test_a_handler_that_does_not_fit_is_refused_with_what_was_expected(stage, handler, expected):
    with pytest.raises(LocalMisuse) as caught:
        check_signature(stage, handler, "mine")
    assert f"stage {stage.value!r}" in str(caught.value)
    assert expected in str(caught.value)
    assert str(caught.value).startswith("plugin mine: ")


@pytest.mark.parametrize("stage", [Stage.RECORD, Stage.PLACE])
def test_stages_that_may_wait_take_coroutines(stage):
    check_signature(stage, async_handler, "mine")
