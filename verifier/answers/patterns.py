"""Parts of a query text that need no expressions: the tokens at hand, terms, triples, paths.

https://www.w3.org/TR/sparql11-query/#sparqlGrammar (from TriplesBlock to BlankNode)
"""

from __future__ import annotations

from verifier.answers import algebra as a
from verifier.answers.terms import FIRST, NIL, REST, TYPE, Unsupported, constant
from verifier.answers.tokens import Token


class Patterns:
    """A place in a query text, and the patterns that begin there."""

    def __init__(self, text: str, stream: list[Token]) -> None:
        self.text, self.stream, self.at = text, stream, 0
        self.prologue = ""
        self.fresh = 0

    # -- stream -----------------------------------------------------------------------------------------------------
    def peek(self, ahead: int = 0) -> Token:
        at = self.at + ahead
        return self.stream[at] if at < len(self.stream) else Token("end", "", len(self.text), len(self.text))

    def take(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def mark(self, mark: str) -> bool:
        if self.peek().is_mark(mark):
            self.at += 1
            return True
        return False

    def word(self, *words: str) -> bool:
        if self.peek().word() in words:
            self.at += 1
            return True
        return False

    def need(self, mark: str) -> None:
        if not self.mark(mark):
            raise Unsupported(f"{mark!r} was expected before {self.peek().text!r}")

    def unknown(self) -> str:
        self.fresh += 1
        return f"?_:{self.fresh}"

    def matching(self, start: int) -> int:
        """Index of the bracket that closes the one at `start`."""
        depth = 0
        for index in range(start, len(self.stream)):
            token = self.stream[index]
            depth += token.is_mark("(", "{", "[") - token.is_mark(")", "}", "]")
            if depth == 0:
                return index
        raise Unsupported("a bracket is not closed")

    # -- triples ----------------------------------------------------------------------------------------------------
    def triples_until_brace(self) -> list[a.Node]:
        found: list[a.Node] = []
        while not self.mark("}"):
            if not self.mark("."):
                found += self.triples()
        return found

    def triples(self) -> list[a.Node]:
        """Triples with one subject as written, and what stands in brackets inside."""
        out: list[a.Node] = []
        bracketed = self.peek().is_mark("[", "(")
        subject = self.node(out)
        if not (bracketed and (self.peek().kind == "end" or self.peek().is_mark(".", "}", "{") or self.keyword())):
            self.properties(subject, out)
        return out

    def keyword(self) -> bool:
        return self.peek().word() in ("OPTIONAL", "MINUS", "GRAPH", "FILTER", "BIND", "VALUES", "SERVICE")

    def properties(self, subject: str, out: list[a.Node]) -> None:
        while True:
            if self.peek().kind == "variable":
                verb: a.Path | str = self.variable(self.take())
            else:
                verb = self.path()
            while True:
                target = self.node(out)
                if self.peek().is_mark("{|", "~"):
                    raise Unsupported("annotations")
                if isinstance(verb, str):
                    out.append(a.Triple(subject, verb, target))
                elif isinstance(verb, a.Link):
                    out.append(a.Triple(subject, verb.iri, target))
                else:
                    out.append(a.Way(subject, verb, target))
                if not self.mark(","):
                    break
            if not self.mark(";"):
                return
            while self.mark(";"):
                pass
            if self.peek().is_mark(".", "}", "]", "{") or self.peek().kind == "end" or self.keyword():
                return

    def node(self, out: list[a.Node]) -> str:
        """A term, a variable, or what brackets stand for."""
        if self.mark("["):
            node = self.unknown()
            if not self.mark("]"):
                self.properties(node, out)
                self.need("]")
            return node
        if self.mark("("):
            if self.mark(")"):
                return NIL
            first = cell = self.unknown()
            while True:
                out.append(a.Triple(cell, FIRST, self.node(out)))
                if self.mark(")"):
                    out.append(a.Triple(cell, REST, NIL))
                    return first
                following = self.unknown()
                out.append(a.Triple(cell, REST, following))
                cell = following
        if self.peek().kind in ("variable", "blank"):
            return self.position(self.take())
        return self.term()

    def path(self) -> a.Path:
        found = self.path_sequence()
        while self.mark("|"):
            found = a.Alternative(found, self.path_sequence())
        return found

    def path_sequence(self) -> a.Path:
        parts = [self.path_step()]
        while self.mark("/"):
            parts.append(self.path_step())
        found = parts[-1]
        for part in reversed(parts[:-1]):
            found = a.Sequence(part, found)
        return found

    def path_step(self) -> a.Path:
        inverse = self.mark("^")
        found = self.path_primary()
        if self.mark("*"):
            found = a.Repeat(found, 0, True)
        elif self.mark("+"):
            found = a.Repeat(found, 1, True)
        elif self.mark("?"):
            found = a.Repeat(found, 0, False)
        return a.Inverse(found) if inverse else found

    def path_primary(self) -> a.Path:
        if self.mark("("):
            found = self.path()
            self.need(")")
            return found
        if not self.mark("!"):
            return a.Link(self.predicate())
        ahead: set[str] = set()
        behind: set[str] = set()
        forwards = backwards = False

        def member() -> None:
            nonlocal forwards, backwards
            if self.mark("^"):
                backwards = True
                behind.add(self.predicate())
            else:
                forwards = True
                ahead.add(self.predicate())

        if self.mark("("):
            while not self.mark(")"):
                member()
                self.mark("|")
            forwards = forwards or not backwards
        else:
            member()
        return a.Negated(frozenset(ahead) if forwards else None, frozenset(behind) if backwards else None)

    # -- terms ------------------------------------------------------------------------------------------------------
    def predicate(self) -> str:
        token = self.take()
        return TYPE if token.text == "a" and token.kind == "word" else self.iri(token)

    def iri(self, token: Token) -> str:
        if token.kind not in ("iri", "name"):
            raise Unsupported(f"an IRI was expected, not {token.text!r}")
        return constant(self.prologue, token.text)

    def variable(self, token: Token) -> str:
        if token.kind != "variable":
            raise Unsupported(f"a variable was expected, not {token.text!r}")
        return "?" + token.text[1:]

    def position(self, token: Token) -> str:
        if token.kind == "variable":
            return self.variable(token)
        if token.kind == "blank":
            return "?" + token.text + "_"  # not what `unknown` makes
        return self.iri(token)

    def term(self) -> str:
        """An IRI or a literal."""
        token = self.take()
        if token.kind in ("iri", "name"):
            return self.iri(token)
        if token.word() in ("TRUE", "FALSE") or token.kind == "number":
            return constant(self.prologue, token.text)
        if token.kind != "string":
            raise Unsupported(f"a term was expected, not {token.text!r}")
        end = token.end
        if self.peek().kind == "language":
            end = self.take().end
            if self.peek().text.startswith("--"):
                raise Unsupported("a base direction")
        elif self.mark("^^"):
            end = self.take().end
        return constant(self.prologue, self.text[token.start : end])
