"""Choosing ledgers: for each kind of transaction of an application the chain that meets its demands, with the reasons.

What a ledger can do was measured and stands in the graph; what may not be chosen and what should not are rules (data,
purpose `ledger`). Different kinds of transactions may go to different ledgers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pyoxigraph as ox

from reasoners.graph import View
from reasoners.ledger.model import DEFAULT_WEIGHTS, VIEWS, Choice, Options
from reasoners.ledger.work import make
from reasoners.sparql.conclusions import ChoosingRule

__all__ = ["DEFAULT_WEIGHTS", "VIEWS", "Choice", "Options", "choose"]


def choose(
    view: View,
    application: ox.NamedNode,
    rules: Sequence[ChoosingRule],
    options: Options | None = None,
    *,
    views: Mapping[str, str],
    now: datetime,
) -> Choice:
    """A ledger for each transaction type of `application` (and for itself, where it has demands of its own).

    `rules` of another purpose are passed over. `views` holds the text of every `queries/views/ledger-*.rq` by name; `now`
    is the time of the decision, with a time zone. The same input gives the same choice. Raises InputError for what the
    application, the options or a rule have wrong.
    """
    return make(view, application, rules, options or Options(), views, now)
