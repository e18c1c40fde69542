"""Recommending: components and functions ranked for a need, within the rules that hold, with their reasons.

What is near in meaning is found by `engine.search` and handed in; what may not be taken and what should not are rules
(data, purpose `recommend`). Nothing here knows a tag, a section or a protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pyoxigraph as ox

from reasoners.graph import View
from reasoners.recommend.model import VIEWS, Hit, Need, Options, Recommendation
from reasoners.recommend.work import make
from reasoners.sparql.conclusions import ChoosingRule

__all__ = ["VIEWS", "Hit", "Need", "Options", "Recommendation", "recommend"]


def recommend(
    view: View,
    needs: Sequence[Need],
    hits: Mapping[ox.NamedNode, Sequence[Hit]],
    rules: Sequence[ChoosingRule],
    options: Options | None = None,
    *,
    application: ox.NamedNode | None = None,
    views: Mapping[str, str],
    now: datetime,
) -> Recommendation:
    """Things ranked for each need among what was found for it (`hits`), with reasons.

    A score is 1 less the similarity, plus what discouragements weigh: smaller is better. `view` describes needs and things;
    `rules` of another purpose are passed over. `views` holds the text of every `queries/views/recommend-*.rq` by name;
    `now` is the time of the decision, with a time zone. Without `application` the decision is about the first need. The
    same input gives the same recommendation. Raises InputError for what the request or a rule has wrong.
    """
    return make(view, needs, hits, rules, options or Options(), application, views, now)
