"""A SPARQL 1.1 Update as a list of operations: templates as data, each WHERE clause as text for the query engine.

pyoxigraph says whether the text is valid (the operations are not run: an operation that fails stands before them);
this module then only takes it apart. Terms keep the lexical form the author wrote, so that the door
(`engine.graph.terms`) judges that form and not the store's rewriting. Grammar: https://www.w3.org/TR/sparql11-query/#rUpdate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyoxigraph as ox

from engine.errors import InputError
from engine.graph.sparql_text import (
    GRAMMAR,
    NOT_SPARQL,
    Prologue,
    Reads,
    Token,
    place,
    reads,
    refuse_service,
    string_value,
    syntax_error,
    tokens,
)
from reasoners.vocab import RDF, XSD

Slot = ox.NamedNode | ox.Literal | ox.Variable | ox.BlankNode  # a BlankNode stands for a fresh one per solution
Place = ox.NamedNode | Literal["DEFAULT", "NAMED", "ALL"]
Verb = Literal["LOAD", "CLEAR", "DROP", "CREATE", "ADD", "MOVE", "COPY"]

_FIRST = "CLEAR GRAPH <urn:dappops:absent> ;\n"  # fails when run, so that what follows is parsed and not run
_NUMBERS = {"integer": XSD.integer, "decimal": XSD.decimal, "double": XSD.double}


@dataclass(frozen=True, slots=True)
class Template:
    """One quad pattern of a template; `graph` None means no GRAPH clause stands around it."""

    subject: Slot
    predicate: Slot
    object: Slot
    graph: ox.NamedNode | ox.Variable | None


@dataclass(frozen=True, slots=True)
class Where:
    """A WHERE clause (`{ … }` as text) with what it is read against."""

    text: str
    prologue: Prologue
    reads: Reads


@dataclass(frozen=True, slots=True)
class Modify:
    """INSERT DATA, DELETE DATA (no `where`), DELETE WHERE, DELETE/INSERT (https://www.w3.org/TR/sparql11-update/)."""

    place: str
    delete: tuple[Template, ...] = ()
    insert: tuple[Template, ...] = ()
    where: Where | None = None
    with_graph: ox.NamedNode | None = None
    using: tuple[ox.NamedNode, ...] = ()
    using_named: tuple[ox.NamedNode, ...] = ()


@dataclass(frozen=True, slots=True)
class Manage:
    """A graph management operation (https://www.w3.org/TR/sparql11-update/#graphManagement)."""

    place: str
    verb: Verb
    silent: bool
    source: Place
    target: Place = "DEFAULT"


Operation = Modify | Manage


def parse_update(text: str, *, base: str | None = None, prefixes: Mapping[str, str] | None = None) -> list[Operation]:
    """The operations of an update, in order; InputError with line, column and remedy when the text is not one."""
    return _Parser(text, Prologue(base, dict(prefixes or {}))).operations()


def _check(text: str, start: int, end: int, prologue: Prologue) -> None:
    """Let pyoxigraph judge one operation. It stands where it stands in the text, so that places agree.

    One at a time because pyoxigraph takes no prologue after the first operation.
    """
    above, before = text.count("\n", 0, start), start - text.rfind("\n", 0, start) - 1
    padded = _FIRST + "\n" * above + " " * before + text[start:end]
    try:
        ox.Store().update(padded, base_iri=prologue.base, prefixes=prologue.prefixes or None)
    except SyntaxError as error:
        raise syntax_error(text, error, first_line=1, start=start, prologue=prologue) from error
    except RuntimeError as error:
        if "urn:dappops:absent" not in str(error):
            raise


class _Parser:
    """Takes valid text apart; what it meets that SPARQL 1.1 does not have (RDF 1.2 terms) is an InputError."""

    def __init__(self, text: str, prologue: Prologue) -> None:
        self.text, self.prologue = text, prologue
        self.stream = [*tokens(text), Token("end", "", len(text), len(text))]
        self.at = 0
        self.blanks: dict[str, ox.BlankNode] = {}
        self.used: set[str] = set()  # labels in INSERT DATA
        self.ground = self.no_blanks = False  # what the clause at hand may not hold: variables, blank nodes

    # -- operations -------------------------------------------------------------------------------------------------
    def operations(self) -> list[Operation]:
        """Update ::= Prologue ( Update1 ( ';' Update )? )?"""
        found: list[Operation] = []
        while True:
            self.prologue = self.prologue.copy()
            self.at = self.prologue.declare(self.stream, self.at)
            if self.peek().kind == "end":
                return found
            end = self.segment_end()
            problem: InputError | None = None
            try:
                _check(self.text, self.peek().start, self.stream[end].start, self.prologue)
            except InputError as error:
                problem = error
            self.blanks = {}
            try:
                found.append(self.operation())
                if self.at != end:
                    raise self.unexpected()
            except InputError as error:
                # both judge: this parser knows the place of more mistakes, pyoxigraph knows all of them
                if problem is None or problem.message.startswith(NOT_SPARQL):
                    raise
                raise problem from error
            except (KeyError, ValueError) as error:  # an undeclared prefix, a malformed IRI or language tag
                raise problem or self.unexpected(self.stream[self.at - 1]) from error
            if problem is not None:
                raise problem
            self.skip_mark(";")

    def segment_end(self) -> int:
        """Index of the `;` (or the end) that closes the operation at hand."""
        depth = 0
        for index in range(self.at, len(self.stream)):
            token = self.stream[index]
            if token.kind == "mark":
                depth += (token.text == "{") - (token.text == "}")
                if token.text == ";" and depth <= 0:
                    return index
        return len(self.stream) - 1

    def operation(self) -> Operation:
        token = self.peek()
        where = place(self.text, token.start)
        word = token.text.upper()
        if word in ("WITH", "INSERT", "DELETE"):
            return self.modify(where)
        self.at += 1
        silent = self.skip_word("SILENT")
        if word == "LOAD":
            source: Place = self.iri()
            if self.skip_word("INTO"):
                self.skip_word("GRAPH")
                self.iri()
            return Manage(where, "LOAD", silent, source)
        if word == "CREATE":
            return Manage(where, "CREATE", silent, self.graph_place())
        if word in ("CLEAR", "DROP"):
            return Manage(where, "CLEAR" if word == "CLEAR" else "DROP", silent, self.graph_place())
        if word in ("ADD", "MOVE", "COPY"):
            source = self.graph_place()
            self.skip_word("TO")
            verb: Verb = "ADD" if word == "ADD" else "MOVE" if word == "MOVE" else "COPY"
            return Manage(where, verb, silent, source, self.graph_place())
        raise self.unexpected(token, "an update begins with INSERT, DELETE, WITH, CLEAR, …; a query goes to `query`")

    def graph_place(self) -> Place:
        if self.skip_word("DEFAULT"):
            return "DEFAULT"
        if self.skip_word("NAMED"):
            return "NAMED"
        if self.skip_word("ALL"):
            return "ALL"
        self.skip_word("GRAPH")
        return self.iri()

    def modify(self, where: str) -> Modify:
        with_graph = self.iri() if self.skip_word("WITH") else None
        delete: tuple[Template, ...] = ()
        insert: tuple[Template, ...] = ()
        if self.skip_word("DELETE"):
            if self.skip_word("DATA"):
                return Modify(where, delete=self.quads(ground=True, no_blanks=True))
            if self.skip_word("WHERE"):
                start = self.at
                delete = self.quads(no_blanks=True)
                return Modify(where, delete=delete, where=self.cut(start, self.at))
            delete = self.quads(no_blanks=True)
        if self.skip_word("INSERT"):
            if self.skip_word("DATA"):
                return Modify(where, insert=self.data())
            insert = self.quads()
        using: list[ox.NamedNode] = []
        using_named: list[ox.NamedNode] = []
        while self.skip_word("USING"):
            (using_named if self.skip_word("NAMED") else using).append(self.iri())
        self.skip_word("WHERE")
        start = self.at
        self.skip_group()
        clause = self.cut(start, self.at)
        return Modify(where, delete, insert, clause, with_graph, tuple(using), tuple(using_named))

    def skip_group(self) -> None:
        depth = 0
        while True:
            token = self.take()
            if token.is_mark("{"):
                depth += 1
            elif token.is_mark("}"):
                depth -= 1
                if depth == 0:
                    return
            elif token.kind == "end":
                raise self.unexpected(token)

    def cut(self, start: int, end: int) -> Where:
        part = self.stream[start:end]
        found = reads(part, self.prologue)
        if found.service is not None:
            raise refuse_service(self.text, found.service)
        return Where(self.text[part[0].start : part[-1].end], self.prologue, found)

    # -- templates --------------------------------------------------------------------------------------------------
    def quads(self, *, ground: bool = False, no_blanks: bool = False) -> tuple[Template, ...]:
        """QuadPattern or QuadData: https://www.w3.org/TR/sparql11-query/#rQuads"""
        self.ground, self.no_blanks = ground, no_blanks
        found: list[Template] = []
        self.expect("{")
        while not self.skip_mark("}"):
            if self.skip_word("GRAPH"):
                token = self.take()
                graph = self.variable(token) if token.kind == "variable" else self.name(token)
                self.expect("{")
                while not self.skip_mark("}"):
                    self.triples(found, graph)
            else:
                self.triples(found, None)
        return tuple(found)

    def data(self) -> tuple[Template, ...]:
        """INSERT DATA; its blank-node labels must be new (https://www.w3.org/TR/sparql11-query/#grammarBNodes)."""
        start = self.at
        found = self.quads(ground=True)
        for token in self.stream[start : self.at]:
            if token.kind == "blank" and token.text in self.used:
                raise InputError(
                    f"the blank node {token.text} of an earlier INSERT DATA cannot be meant here",
                    place=place(self.text, token.start),
                    rule="https://www.w3.org/TR/sparql11-query/#grammarBNodes",
                    remedy="put both into one INSERT DATA, or use another label",
                )
        self.used |= self.blanks.keys()
        return found

    def triples(self, found: list[Template], graph: ox.NamedNode | ox.Variable | None) -> None:
        if self.skip_mark("."):
            return
        subject = self.node(found, graph)
        if self.at_verb():  # `[ … ]` and `( … )` may stand alone
            self.properties(subject, found, graph)

    def at_verb(self) -> bool:
        token = self.peek()
        return token.kind in ("iri", "pname", "variable") or (token.kind == "word" and token.text == "a")

    def properties(self, subject: Slot, found: list[Template], graph: ox.NamedNode | ox.Variable | None) -> None:
        while True:
            predicate = self.verb()
            while True:
                found.append(Template(subject, predicate, self.node(found, graph), graph))
                if not self.skip_mark(","):
                    break
            if not self.skip_mark(";"):
                return
            while self.skip_mark(";"):
                pass
            if not self.at_verb():
                return

    def verb(self) -> Slot:
        token = self.take()
        if token.kind == "variable":
            return self.variable(token)
        if token.kind == "word" and token.text == "a":
            return RDF.type
        return self.name(token)

    def node(self, found: list[Template], graph: ox.NamedNode | ox.Variable | None) -> Slot:
        token = self.take()
        kind = token.kind
        if kind in ("iri", "pname"):
            return self.name(token)
        if kind == "variable":
            return self.variable(token)
        if kind == "string":
            return self.literal(token)
        if kind in _NUMBERS:
            return ox.Literal(token.text, datatype=_NUMBERS[kind])
        if token.kind == "word" and token.text in ("true", "false"):
            return ox.Literal(token.text, datatype=XSD.boolean)
        if kind == "blank":
            return self.blanks.setdefault(token.text, self.fresh(token))
        if token.is_mark("["):
            blank = self.fresh(token)
            if not self.skip_mark("]"):
                self.properties(blank, found, graph)
                self.expect("]")
            return blank
        if token.is_mark("("):
            return self.collection(found, graph)
        raise self.unexpected(token)

    def collection(self, found: list[Template], graph: ox.NamedNode | ox.Variable | None) -> Slot:
        head: Slot = RDF.nil
        last: ox.BlankNode | None = None
        while not self.skip_mark(")"):
            cell = self.fresh(self.peek())
            if last is None:
                head = cell
            else:
                found.append(Template(last, RDF.rest, cell, graph))
            found.append(Template(cell, RDF.first, self.node(found, graph), graph))
            last = cell
        if last is not None:
            found.append(Template(last, RDF.rest, RDF.nil, graph))
        return head

    def variable(self, token: Token) -> ox.Variable:
        if self.ground:
            raise self.unexpected(token, "DATA holds terms only; put variables into a WHERE clause")
        return ox.Variable(token.text[1:])

    def fresh(self, token: Token) -> ox.BlankNode:
        if self.no_blanks:
            raise self.unexpected(token, "a DELETE cannot name a blank node: find it with a variable in a WHERE clause")
        return ox.BlankNode()

    def literal(self, token: Token) -> ox.Literal:
        value = string_value(token.text)
        following = self.peek()
        if following.kind == "language":
            self.at += 1
            return ox.Literal(value, language=following.text[1:])
        if following.is_mark("^^"):
            self.at += 1
            return ox.Literal(value, datatype=self.iri())
        return ox.Literal(value)

    # -- tokens -----------------------------------------------------------------------------------------------------
    def peek(self) -> Token:
        return self.stream[self.at]

    def take(self) -> Token:
        token = self.stream[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def skip_word(self, word: str) -> bool:
        if self.peek().is_word(word):
            self.at += 1
            return True
        return False

    def skip_mark(self, mark: str) -> bool:
        if self.peek().is_mark(mark):
            self.at += 1
            return True
        return False

    def expect(self, mark: str) -> None:
        if not self.skip_mark(mark):
            raise self.unexpected()

    def iri(self) -> ox.NamedNode:
        return self.name(self.take())

    def name(self, token: Token) -> ox.NamedNode:
        if token.kind not in ("iri", "pname"):
            raise self.unexpected(token)
        return self.prologue.iri(token)

    def unexpected(self, token: Token | None = None, remedy: str = "") -> InputError:
        token = token or self.peek()
        if not remedy:
            later = token.text in ("<<", "~", "{") or token.kind == "language"
            remedy = "correct the text at or just before that place"
            if later:
                remedy += "; RDF 1.2 (triple terms, reifiers, annotations) is not taken"
        return InputError(
            f"{NOT_SPARQL}: {token.text or 'the end'!r} is not expected here",
            place=place(self.text, token.start),
            rule=GRAMMAR,
            remedy=remedy,
        )


__all__ = ["Manage", "Modify", "Operation", "Place", "Slot", "Template", "Where", "parse_update"]
