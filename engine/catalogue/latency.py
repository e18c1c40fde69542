"""One-way network delay between two regions, estimated from the distance between them.

Light in glass covers about 200 km in a millisecond (refractive index 1.468, ITU-T G.652). Cables are longer than the
great circle: 1.3 times for the best conduit routes, 2.1 for what the public Internet shows (Bozkurt et al. 2018,
https://arxiv.org/abs/1811.10737); a provider's backbone lies between, taken as 1.5. Half a millisecond is added for
the equipment at both ends and for the way inside a region. A measurement, once there is one, replaces the estimate.
"""

from __future__ import annotations

from decimal import Decimal
from math import asin, cos, radians, sin, sqrt

from engine.catalogue.places import Site

EARTH_KM = 6371.0088
"""Mean radius of the Earth, IUGG."""
KM_PER_MS = 200.0
INFLATION = 1.5
LOCAL_MS = 0.5
SOURCE = "https://arxiv.org/abs/1811.10737"


def distance(a: Site, b: Site) -> float:
    """Great-circle distance in kilometres (haversine)."""
    lat_a, lat_b = radians(a.latitude), radians(b.latitude)
    half = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin(radians(b.longitude - a.longitude) / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(half)))


def one_way(a: Site, b: Site) -> Decimal:
    """Estimated delay in milliseconds, to a hundredth: finer would pretend to precision the method lacks."""
    return round(Decimal(distance(a, b) / KM_PER_MS * INFLATION + LOCAL_MS), 2)
