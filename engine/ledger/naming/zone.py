"""Names as DNS answers. Wire in, wire out: no socket here, and dnspython nowhere else.

| question                         | answer |
| `name` A, AAAA                   | addresses of its end points that have one |
| `_scheme._proto.name` SRV        | RFC 2782: port and target of each end point of this scheme; `name` SRV: of all |
| `_scheme._proto.name` URI, `name` URI | RFC 7553: the URLs |
| `name` TXT                       | `url=…` for each URL, `version=…`, `expires=…`, `block=…` (RFC 1464) |
| `_N._at.name` A, AAAA            | the address of end point N: the target of SRV answers, since ports differ between addresses |

NXDOMAIN for unknown and expired names, SERVFAIL while the chain is away (RFC 8914 says why), REFUSED outside the zone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import BusyError, InputError
from engine.ledger.naming.answering import Resolver
from engine.ledger.naming.names import Endpoint, check_name
from engine.ledger.naming.registry import NameRecord

if TYPE_CHECKING:
    import dns.message
    import dns.name

UDP_PLAIN, UDP_LARGEST, TCP_LARGEST = 512, 1232, 65535  # RFC 1035 4.2.1; what passes unfragmented: dnsflagday.net/2020
_SERVICE = re.compile(r"_([a-z][a-z0-9-]*)\._(tcp|udp)\.(.+)", re.ASCII)
_PLACE = re.compile(r"_(\d{1,4})\._at\.(.+)", re.ASCII)


def answer(resolver: Resolver, wire: bytes, *, tcp: bool) -> bytes | None:
    """The reply to a query; None when there is nothing to reply to (noise, or itself a reply)."""
    import dns.edns
    import dns.exception
    import dns.flags
    import dns.message
    import dns.opcode
    import dns.rcode
    import dns.rdataclass

    if len(wire) < 12 or wire[2] & 0x80:
        return None
    try:
        query = dns.message.from_wire(wire)
    except (dns.exception.DNSException, ValueError):
        # identifier and opcode of what could not be read, FORMERR: RFC 1035 section 4.1.1
        return wire[:2] + bytes([0x80 | wire[2] & 0x79, dns.rcode.FORMERR]) + bytes(8)
    reply = dns.message.make_response(query, recursion_available=False, our_payload=UDP_LARGEST)
    if query.opcode() != dns.opcode.QUERY:
        reply.set_rcode(dns.rcode.NOTIMP)
    elif len(query.question) != 1:
        reply.set_rcode(dns.rcode.FORMERR)
    elif query.edns > 0:
        reply.set_rcode(dns.rcode.BADVERS)
    elif query.question[0].rdclass != dns.rdataclass.IN:
        reply.set_rcode(dns.rcode.REFUSED)
    else:
        try:
            _fill(resolver, reply, query.question[0].name, query.question[0].rdtype)
        except BusyError as error:
            reply.set_rcode(dns.rcode.SERVFAIL)
            if query.edns >= 0:
                text = error.message.encode("ascii", "replace")[:200].decode()
                reply.use_edns(
                    0, payload=UDP_LARGEST, options=[dns.edns.EDEOption(dns.edns.EDECode.NETWORK_ERROR, text)]
                )
    largest = TCP_LARGEST if tcp else max(UDP_PLAIN, min(query.payload, UDP_LARGEST)) if query.edns >= 0 else UDP_PLAIN
    return _written(reply, largest)


def _written(reply: dns.message.Message, largest: int) -> bytes:
    """The reply on the wire; one that is too long says TC and nothing else, so that the client comes back over TCP."""
    import dns.exception
    import dns.flags

    try:
        return bytes(reply.to_wire(max_size=largest))
    except dns.exception.TooBig:
        for section in (reply.answer, reply.authority, reply.additional):
            section.clear()
        reply.flags |= dns.flags.TC
        return bytes(reply.to_wire(max_size=largest))


def _fill(resolver: Resolver, reply: dns.message.Message, asked: dns.name.Name, kind: int) -> None:
    """Answer, authority and additional sections, and the response code."""
    import dns.flags
    import dns.name
    import dns.rcode
    import dns.rdatatype

    suffix = resolver.settings.suffix
    zone = dns.name.from_text(suffix) if suffix else dns.name.root
    if not asked.is_subdomain(zone):
        reply.set_rcode(dns.rcode.REFUSED)
        return
    reply.flags |= dns.flags.AA
    text = asked.relativize(zone).to_text(omit_final_dot=True).lower()
    service, place = _SERVICE.fullmatch(text), _PLACE.fullmatch(text)
    name = service[3] if service else place[2] if place else text
    found = _alive(resolver, name)
    if found is None:
        if asked != zone:  # the zone itself is there, with nothing in it
            reply.set_rcode(dns.rcode.NXDOMAIN)
        _deny(resolver, reply, zone)
        return
    numbered = list(enumerate(found.parsed()))
    if service:
        numbered = [(i, e) for i, e in numbered if (e.scheme, e.protocol) == (service[1], service[2])]
        told = _services(asked, name, zone, numbered, kind)
    elif place:
        numbered = [(i, e) for i, e in numbered if i == int(place[1])]
        told = [(asked, r) for r in _addresses([e for _, e in numbered], kind)]
    else:
        told = _apex(asked, name, zone, found, numbered, kind)
    ttl = resolver.lifetime(found)
    if not told:
        if not numbered and (service or place):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        _deny(resolver, reply, zone)
    _add(reply.answer, told, ttl)
    if told and kind == dns.rdatatype.SRV:
        for i, each in numbered:
            if each.address:
                at = dns.name.from_text(f"_{i}._at.{name}", zone)
                _add(reply.additional, [(at, _address(each))], ttl)


def _alive(resolver: Resolver, name: str) -> NameRecord | None:
    """The name's record; None for what is no name, too."""
    try:
        check_name(name)
    except InputError:
        return None
    return resolver.lookup(name)


Answer = tuple[Any, tuple[str, str]]  # the owner's name, and type and text of a record


def _apex(
    asked: Any, name: str, zone: Any, found: NameRecord, numbered: Sequence[tuple[int, Endpoint]], kind: int
) -> list[Answer]:
    """Records of the name itself."""
    import dns.rdatatype as t

    if kind in (t.A, t.AAAA):
        return [(asked, r) for r in _addresses([e for _, e in numbered], kind)]
    if kind == t.TXT:
        facts = (f"version={found.version}", f"expires={found.expires}", f"block={found.block}")
        return [(asked, ("TXT", _strings(text))) for text in (*(f"url={e.url}" for _, e in numbered), *facts)]
    if kind == t.ANY:
        return [(asked, ("HINFO", '"RFC8482" ""'))]  # https://www.rfc-editor.org/rfc/rfc8482#section-4.2
    return _services(asked, name, zone, numbered, kind)


def _services(asked: Any, name: str, zone: Any, numbered: Sequence[tuple[int, Endpoint]], kind: int) -> list[Answer]:
    """SRV or URI records: all with equal priority and weight, the registry knows no better."""
    import dns.name
    import dns.rdatatype

    if kind == dns.rdatatype.SRV:
        out = []
        for i, each in numbered:
            if each.address is None:
                target = f"{each.host.rstrip('.')}."
            else:
                target = dns.name.from_text(f"_{i}._at.{name}", zone).to_text()
            out.append((asked, ("SRV", f"0 0 {each.port} {target}")))
        return out
    if kind == dns.rdatatype.URI:
        return [(asked, ("URI", f'0 0 "{_escaped(each.url)}"')) for _, each in numbered]
    return []


def _addresses(endpoints: Sequence[Endpoint], kind: int) -> list[tuple[str, str]]:
    import dns.rdatatype

    wanted = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(kind))
    return list(dict.fromkeys(r for r in map(_address, (e for e in endpoints if e.address)) if r[0] == wanted))


def _address(endpoint: Endpoint) -> tuple[str, str]:
    assert endpoint.address is not None
    return ("AAAA" if ":" in endpoint.address else "A", endpoint.address)


def _strings(text: str) -> str:
    """Character strings of at most 255 bytes: RFC 1035 section 3.3."""
    return " ".join(f'"{_escaped(text[i : i + 255])}"' for i in range(0, len(text), 255))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _deny(resolver: Resolver, reply: Any, zone: Any) -> None:
    """How long to remember that there is nothing: RFC 2308 section 3."""
    ttl = resolver.settings.ttl
    _add(reply.authority, [(zone, ("SOA", f"localhost. nobody.localhost. {1} {ttl} {ttl} {ttl} {ttl}"))], ttl)


def _add(section: list[Any], told: Sequence[Answer], ttl: int) -> None:
    """Append records, those of one owner and type as one set. A record that cannot be written is left out."""
    import dns.exception
    import dns.rdataclass
    import dns.rdatatype
    import dns.rrset

    sets: dict[tuple[Any, str], Any] = {}
    for owner, (kind, text) in told:
        try:
            made = dns.rrset.from_text(owner, ttl, "IN", kind, text)
        except (dns.exception.DNSException, ValueError):
            continue  # a host with an empty or overlong label, say
        key = (owner, kind)
        if key in sets:
            sets[key].add(made[0], ttl)
        else:
            sets[key] = made
            section.append(made)
