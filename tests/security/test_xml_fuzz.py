"""A short, seeded piece of the differential fuzzing in `fuzz_xml`."""

import pytest

from tests.security import fuzz_xml


@pytest.mark.parametrize("seed", range(4))
def test_engines_judge_and_lxml_agree_on_mutated_stanzas_and_streams(seed: int) -> None:
    tried, accepted = fuzz_xml.run(seed, rounds=5_000)
    assert tried == 5_000
    assert accepted > 250


@pytest.mark.parametrize("data", fuzz_xml.CORPUS)
@pytest.mark.parametrize("ns", ["", fuzz_xml.CLIENT])
def test_every_stanza_of_the_corpus_is_accepted(data: bytes, ns: str) -> None:
    assert fuzz_xml.check(data, ns, fuzz_xml.PREFIXES)
