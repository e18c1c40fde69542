"""event-knowledge: the event's programme, places and performers, as JSON and as RDF.

An event is a round of acts; each act says which places have most to tell. The round starts anew when it is over.

GET /programme        {"act", "performer", "ends", "weights": {place}}; ?at=UNIX for another time
GET /programme.ttl    the whole programme in Turtle
"""

from __future__ import annotations

import time
from typing import NamedTuple

from unit import Refused, Reply, Request, Unit


class Act(NamedTuple):
    name: str
    performer: str
    seconds: int
    weights: dict[str, float]


PROGRAMME = (
    Act("Opening", "Harbour Brass", 120, {"stage": 1.4, "crowd": 1.0, "balcony": 1.1}),
    Act("Call and answer", "Choir of the Docks", 180, {"stage": 1.0, "crowd": 1.5, "balcony": 1.0}),
    Act("Night swimmers", "Maré Alta", 240, {"stage": 1.3, "crowd": 0.9, "balcony": 1.2}),
    Act("Lanterns", "Everybody", 60, {"stage": 0.8, "crowd": 1.6, "balcony": 1.3}),
)
ROUND = sum(act.seconds for act in PROGRAMME)


def act_at(when: float) -> tuple[Act, float]:
    """(the act, Unix time at which it ends)"""
    rest = when % ROUND
    for act in PROGRAMME:
        if rest < act.seconds:
            return act, when + act.seconds - rest
        rest -= act.seconds
    raise AssertionError("the acts fill the round")


def turtle() -> str:
    """The programme as RDF 1.1 Turtle with schema.org's words. https://www.w3.org/TR/turtle/"""
    acts = [
        f'<#act-{n}> a schema:Event ; schema:name "{act.name}" ; schema:performer "{act.performer}" ;\n'
        f'  schema:duration "PT{act.seconds}S" ; schema:position {n} ;\n  schema:superEvent <#rehearsal> .\n'
        for n, act in enumerate(PROGRAMME, 1)
    ]
    places = [f'<#{place}> a schema:Place ; schema:name "{place}" .\n' for place in sorted(PROGRAMME[0].weights)]
    head = '@prefix schema: <https://schema.org/> .\n\n<#rehearsal> a schema:Event ; schema:name "Rehearsal" .\n'
    return head + "".join(acts + places)


def main() -> None:
    unit = Unit()
    unit.queue()

    @unit.at("GET", "/programme")
    def programme(request: Request) -> Reply:
        try:
            when = float(request.query["at"][0]) if "at" in request.query else time.time()
        except ValueError:
            raise Refused(400, "at: Unix time in seconds") from None
        act, ends = act_at(when)
        return Reply(200, {"act": act.name, "performer": act.performer, "ends": ends, "weights": act.weights})

    @unit.at("GET", "/programme.ttl")
    def whole(_: Request) -> Reply:
        return Reply(200, turtle().encode(), "text/turtle; charset=utf-8")

    unit.run()


if __name__ == "__main__":
    main()
