"""A name follows the unit it stands for, and the graph says where it resolves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from engine.errors import InputError
from engine.graph.keys import KeyRing
from engine.ledger import naming
from engine.ledger.home import Connected, connect, ensure
from engine.orchestration.named import Named


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engine.KnowledgeBase]:
    with engine.open(tmp_path_factory.mktemp("named") / "kb") as opened:
        yield opened


@pytest.fixture
def chain(kb: engine.KnowledgeBase) -> Iterator[Connected]:
    assert kb.home is not None
    with ensure(Path(kb.home), KeyRing(Path(kb.home) / "keys"), kb.author) as connected:
        yield connected


def again(kb: engine.KnowledgeBase) -> Connected:
    assert kb.home is not None
    return connect(Path(kb.home), keys=KeyRing(Path(kb.home) / "keys"))


def test_name_resolves_to_where_the_unit_is_when_it_has_moved(kb: engine.KnowledgeBase, chain: Connected) -> None:
    follow = Named(kb, "festival.live", "gateway", lambda: again(kb))
    follow({"gateway": ["http://10.0.0.1:8000"], "other": ["http://10.0.0.9:1"]})
    assert naming.resolve(chain, "festival.live").endpoints == ("http://10.0.0.1:8000",)
    follow({"gateway": ["http://10.0.0.1:8000"], "other": ["http://10.0.0.8:1"]})
    follow({"other": ["http://10.0.0.8:1"]})
    assert (naming.record(chain, "festival.live").version, follow.moves) == (1, 0), "nothing of the unit's has changed"
    follow({"gateway": ["http://10.0.0.2:8000"]})
    assert naming.resolve(chain, "festival.live").endpoints == ("http://10.0.0.2:8000",)
    said = kb.select('SELECT ?url WHERE { ?n dapp:registeredName "festival.live" ; dapp:resolvesTo ?url }')
    assert [row[0].value for row in said] == ["http://10.0.0.2:8000"]


def test_name_is_taken_up_when_an_earlier_run_registered_it(kb: engine.KnowledgeBase, chain: Connected) -> None:
    naming.register(chain, kb.author, "earlier.live", endpoints=["http://10.0.0.3:1"])
    follow = Named(kb, "earlier.live", "gateway", lambda: again(kb))
    follow({"gateway": ["http://10.0.0.3:1"]})
    assert follow.moves == 0
    follow({"gateway": ["http://10.0.0.4:1"]})
    assert (follow.moves, naming.resolve(chain, "earlier.live").endpoints) == (1, ("http://10.0.0.4:1",))


def test_name_of_another_is_refused_with_its_owner(kb: engine.KnowledgeBase, chain: Connected) -> None:
    assert kb.home is not None
    other = KeyRing(Path(kb.home) / "keys").create().address
    naming.register(chain, kb.author, "mine.live", endpoints=["http://10.0.0.5:1"])
    with pytest.raises(InputError, match="another's"):
        Named(kb, "mine.live", "gateway", lambda: again(kb), sender=other)({"gateway": ["http://10.0.0.6:1"]})
    assert naming.resolve(chain, "mine.live").endpoints == ("http://10.0.0.5:1",)
