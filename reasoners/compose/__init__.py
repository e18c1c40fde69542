"""Composing: variant, device and box for a function, within all hard rules and as good as the profiles can tell.

What may not be chosen and what should not are rules (data, purpose `compose`); what each combination costs is predicted
from measured profiles. Nothing is chosen that was never measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from reasoners.compose.model import VIEWS, Choice, Combination, Forecast, Options, Request
from reasoners.compose.predict import Point, predict
from reasoners.compose.work import combination_triples, make, request_triples
from reasoners.graph import View
from reasoners.sparql.conclusions import ChoosingRule

__all__ = [
    "VIEWS",
    "Choice",
    "Combination",
    "Forecast",
    "Options",
    "Point",
    "Request",
    "combination_triples",
    "compose",
    "predict",
    "request_triples",
]


def compose(
    view: View,
    request: Request,
    rules: Sequence[ChoosingRule],
    options: Options | None = None,
    *,
    views: Mapping[str, str],
    now: datetime,
) -> Choice:
    """The best combination for `request` among those that `view` knows, with its reasons.

    `rules` of another purpose are passed over. `views` holds the text of every `queries/views/compose-*.rq` by name; `now`
    is the time of the decision, with a time zone. While it works, the view's store holds one more graph (see `overlay`).
    The same input gives the same choice. Raises InputError for what the request, the graph or a rule has wrong.
    """
    return make(view, request, rules, options or Options(), views, now)
