"""Values of literals and the datatypes that hold them (table 8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from owl_samples import parsed

from reasoners.derive.owl import Rl, entails, inconsistencies
from reasoners.derive.owl.datatypes import DATATYPES, RDF, XSD, has_value, value_of

WELL, ILL = True, False
LEXICAL = (
    ("byte", "-128", WELL), ("byte", "128", ILL), ("unsignedByte", "-0", WELL), ("integer", "+007", WELL),
    ("integer", "1.0", ILL), ("integer", " 1", ILL), ("negativeInteger", "0", ILL), ("positiveInteger", "1", WELL),
    ("nonPositiveInteger", "0", WELL), ("unsignedLong", "18446744073709551615", WELL),
    ("unsignedLong", "18446744073709551616", ILL), ("long", "9223372036854775808", ILL), ("decimal", "1.", WELL),
    ("decimal", ".5", WELL), ("decimal", "1e3", ILL), ("decimal", ".", ILL), ("double", "1e3", WELL),
    ("double", "INF", WELL), ("double", "inf", ILL), ("float", "NaN", WELL), ("boolean", "1", WELL),
    ("boolean", "TRUE", ILL), ("hexBinary", "0aF", ILL), ("hexBinary", "0aFf", WELL), ("base64Binary", "YQ==", WELL),
    ("base64Binary", "YR==", ILL), ("base64Binary", "YQ=", ILL), ("dateTime", "2024-02-29T24:00:00Z", WELL),
    ("dateTime", "2023-02-29T00:00:00", ILL), ("dateTime", "2023-02-28T24:00:01", ILL), ("dateTime", "0000-01-01T00:00:00", WELL),
    ("dateTime", "2023-04-31T00:00:00", ILL), ("dateTime", "2023-04-30T00:00:00+14:01", ILL),
    ("dateTimeStamp", "2023-04-30T00:00:00", ILL), ("dateTimeStamp", "2023-04-30T00:00:00Z", WELL),
    ("normalizedString", "a\tb", ILL), ("token", " a", ILL), ("token", "a b", WELL), ("language", "en-GB", WELL),
    ("language", "e_n", ILL), ("Name", "a:b", WELL), ("NCName", "a:b", ILL), ("NMTOKEN", "-1", WELL), ("Name", "-1", ILL),
    ("anyURI", "http://e/ä", WELL), ("string", "", WELL),
)  # fmt: skip
EQUAL = (
    ("1", "integer", "01", "byte"), ("1", "integer", "1.0", "decimal"), ("-0", "integer", "0", "unsignedInt"),
    ("a", "string", "a", "token"), ("1", "boolean", "true", "boolean"), ("0aff", "hexBinary", "0AFF", "hexBinary"),
    ("1.0E1", "double", "10", "double"), ("1", "float", "1.00000001", "float"),
    ("1999-12-31T24:00:00Z", "dateTime", "2000-01-01T00:00:00+00:00", "dateTimeStamp"),
)  # fmt: skip
DIFFERENT = (
    ("1", "integer", "1", "double"), ("1", "double", "1", "float"), ("1", "integer", "1", "string"),
    ("0.0", "double", "-0.0", "double"), ("a", "string", "a", "anyURI"), ("00", "hexBinary", "AA==", "base64Binary"),
    # one instant, two offsets: equal in XML Schema, not identical, and OWL 2 asks for identity
    ("2000-01-01T00:00:00Z", "dateTime", "2000-01-01T01:00:00+01:00", "dateTime"),
    ("2000-01-01T00:00:00Z", "dateTime", "2000-01-01T00:00:00", "dateTime"), ("1", "boolean", "1", "integer"),
)  # fmt: skip


@pytest.mark.parametrize(("name", "lexical", "well"), LEXICAL)
def test_literal_denotes_a_value_when_its_lexical_form_is_of_the_datatype(name: str, lexical: str, well: bool) -> None:
    value = value_of(lexical, XSD + name)
    assert (value is not None) is well
    assert has_value(value, XSD + name) is well


@pytest.mark.parametrize(("a", "of_a", "b", "of_b"), EQUAL)
def test_two_literals_are_equal_when_they_denote_one_value(a: str, of_a: str, b: str, of_b: str) -> None:
    assert value_of(a, XSD + of_a) == value_of(b, XSD + of_b) is not None
    assert entails(parsed(f':s :p "{a}"^^xsd:{of_a} .'), parsed(f':s :p "{b}"^^xsd:{of_b} .'))
    once = f':p a owl:FunctionalProperty . :s :p "{a}"^^xsd:{of_a}, "{b}"^^xsd:{of_b} .'
    assert inconsistencies(parsed(once)) == []


@pytest.mark.parametrize(("a", "of_a", "b", "of_b"), DIFFERENT)
def test_two_literals_clash_when_they_denote_different_values(a: str, of_a: str, b: str, of_b: str) -> None:
    assert not entails(parsed(f':s :p "{a}"^^xsd:{of_a} .'), parsed(f':s :p "{b}"^^xsd:{of_b} .'))
    once = f':p a owl:FunctionalProperty . :s :p "{a}"^^xsd:{of_a}, "{b}"^^xsd:{of_b} .'
    (clash,) = inconsistencies(parsed(once))
    assert clash.rule == "dt-diff"
    assert clash.leaves() == set(parsed(once))


def test_plain_literals_and_language_tags_are_values_of_their_own() -> None:
    assert value_of("a@", RDF + "PlainLiteral") == value_of("a", XSD + "string")
    assert value_of("a@EN", RDF + "PlainLiteral") == value_of("a", RDF + "langString", "en")
    assert value_of("a", RDF + "PlainLiteral") is None
    assert value_of("<a b='1' c=\"2\"></a>", RDF + "XMLLiteral") == value_of('<a b="1" c="2"/>', RDF + "XMLLiteral")
    assert value_of("<a>", RDF + "XMLLiteral") is None


@given(st.integers(min_value=-(2**66), max_value=2**66))
def test_integer_is_in_exactly_the_datatypes_whose_bounds_hold_it(number: int) -> None:
    value = value_of(str(number), XSD + "integer")
    inside = {d[len(XSD) :] for d in DATATYPES if d.startswith(XSD) and has_value(value, d)}
    wanted = {"decimal", "integer"}
    for bits, name in ((8, "byte"), (16, "short"), (32, "int"), (64, "long")):
        unsigned = "unsigned" + name.capitalize()
        wanted |= {name} if -(2 ** (bits - 1)) <= number < 2 ** (bits - 1) else set()
        wanted |= {unsigned} if 0 <= number < 2**bits else set()
    wanted |= {"nonNegativeInteger"} if number >= 0 else {"negativeInteger"}
    wanted |= {"nonPositiveInteger"} if number <= 0 else {"positiveInteger"}
    assert inside == wanted


@pytest.mark.parametrize("datatype", DATATYPES)
def test_datatype_of_the_profile_is_declared_and_holds_its_literals(datatype: str) -> None:
    assert entails([], parsed(f"<{datatype}> a rdfs:Datatype ."))
    lexical = {"byte": "1", "langString": "a", "XMLLiteral": "<a/>", "PlainLiteral": "a@", "boolean": "true"}
    name = datatype.rsplit("#", 1)[-1]
    text = lexical.get(name) or next(
        t for t in ("1", "-1", "a", "2000-01-01T00:00:00Z", "00", "AAAA") if value_of(t, datatype) or name == "Literal"
    )
    literal = (
        f'"{text}"@en' if name == "langString" else f'"{text}"' if name == "Literal" else f'"{text}"^^<{datatype}>'
    )
    assert entails(parsed(f":s :p {literal} ."), parsed(f":s :p [ a <{datatype}>, rdfs:Literal ] ."))
    wrong = f':p rdfs:range <{datatype}> . :s :p "\\u0001"^^:own .'
    assert [c.rule for c in inconsistencies(parsed(wrong))] == ["dt-not-type"]


def test_datatype_that_an_axiom_reads_types_the_literals() -> None:
    axioms = ":C owl:someValuesFrom xsd:unsignedByte ; owl:onProperty :p . "
    rl = Rl(parsed(axioms + ':a :p "7" ; :q 7 . :b :p 300 .'))
    (goal,) = parsed(":a a :C .")
    assert goal not in rl
    _, entered = rl.apply((), parsed(':a :p "07"^^xsd:int .'))
    assert goal in entered
    left, _ = rl.apply(parsed(':a :p "07"^^xsd:int .'))
    assert goal in left


def test_derived_triples_show_a_value_once_and_asserted_ones_as_written() -> None:
    rl = Rl(parsed(':p rdfs:subPropertyOf :q . :a :p "01"^^xsd:byte . :b :p "1"^^xsd:int .'))
    shown = {str(t.object) for t in rl.triples() if str(t.predicate) == "<http://ex.org/p>"}
    assert shown == {f'"01"^^<{XSD}byte>', f'"1"^^<{XSD}int>'}
    assert len([t for t in rl.inferred() if str(t.predicate) == "<http://ex.org/q>"]) == 2


def test_literal_takes_part_as_a_subject_and_is_not_shown() -> None:
    rl = Rl(parsed(":p a owl:SymmetricProperty . :x :p 1 . :q owl:propertyChainAxiom ( :p :p ) . :y :p 1 ."))
    assert parsed(":x :q :y .")[0] in rl
    assert not any(str(t).startswith('"') for t in rl.triples())
