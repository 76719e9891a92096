"""A short, seeded piece of the differential fuzzing in `fuzz_xml`."""

import pytest

from tests.security import fuzz_xml
from tests.security.fuzz_checks import check
from tests.security.fuzz_corpus import CLIENT, CORPUS, PREFIXES


@pytest.mark.parametrize("seed", range(4))
def test_engines_judge_and_lxml_agree_on_all_kinds_of_input(seed: int) -> None:
    progress = fuzz_xml.run(seed, 4_000)
    assert progress.tried.total() == 4_000
    assert len(progress.tried) == len(fuzz_xml.KINDS)
    assert all(
        progress.accepted[kind] for kind in progress.tried if kind not in ("broken stream", "transcoded")
    )


@pytest.mark.parametrize("data", CORPUS)
@pytest.mark.parametrize("ns", ["", CLIENT])
def test_every_stanza_of_the_corpus_is_accepted(data: bytes, ns: str) -> None:
    assert check(data, ns, PREFIXES)
