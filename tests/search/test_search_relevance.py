"""What people would ask for is found among the first ten components of this machine's own package list.

At quick effort a part of the list is embedded, with everything that is expected; at full effort all of it. Expectations
are how names begin, so that they hold for other releases of the same system.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from search_data import NOW

from engine.errors import NotAvailableError
from engine.search import embed
from engine.search.index_file import write
from engine.search.packages import read_list
from engine.search.searcher import Searcher

for _package in ("sentence_transformers", "faiss", embed.PACKAGE):
    if importlib.util.find_spec(_package) is None:
        pytest.skip(f"{_package} is not installed: {embed.REMEDY}", allow_module_level=True)

WANTED = {
    "stabilise shaky video": "libvidstab|libopencv-videostab",
    "transcode live video streams": "ffmpeg$",
    "relay WebRTC media": "janus$|python3-aiortc",
    "object storage server": "swift-object|ceph$|radosgw",
    "time series monitoring": "prometheus$",
    "blockchain node": "litecoind|bitcoind|sia$",
    "hash chain ledger": "sia$|litecoind|libopendht",
    "stream packets with forward error correction": "libjerasure|libfec0|libsrt|srt-tools",
    "HTTP load balancer": "haproxy$|pen$",
    "RDF triple store with SPARQL": "librdf-storage|virtuoso|python3-rdflib",
    "detect faces in pictures": "libopencv-objdetect",
    "limit the bandwidth of network traffic": "fireqos|wondershaper|trickle|iproute2",
}


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory, effort: int) -> Searcher:
    try:
        source, components = read_list()
    except NotAvailableError as error:
        pytest.skip(f"no package list on this machine: {error.message}")
    if source.origin != "Debian":
        pytest.skip(f"expectations are of Debian's packages, this list is of {source.label}")
    known = re.compile("|".join(WANTED.values()))
    chosen = [c for i, c in enumerate(components) if effort > 1 or i % 16 == 0 or known.match(c.name)]
    made = Searcher(Path(tmp_path_factory.mktemp("relevance")))
    write(made.folder, source, chosen, now=NOW)
    made.ready(now=NOW)
    return made


@pytest.mark.parametrize("need", sorted(WANTED))
def test_sensible_components_are_among_the_first_ten_when_a_need_is_searched_for(searcher: Searcher, need: str) -> None:
    (found,) = searcher.find([[need]], 10)
    names = [f.thing.name for f in found]
    assert any(re.match(WANTED[need], name) for name in names), names


def test_first_of_two_texts_counts_as_much_as_the_second_when_a_need_has_both(searcher: Searcher) -> None:
    both, turned = searcher.find([["transcoder", "network monitoring"], ["network monitoring", "transcoder"]], 10)
    assert [(f.thing.name, f.similarity) for f in both] == [(f.thing.name, f.similarity) for f in turned]
