// Terms of answers: how they are written for people, what they are worth when sorted.
const XSD = "http://www.w3.org/2001/XMLSchema#";
const NUMBERS = new Set(["integer", "decimal", "double", "float", "int", "long", "short", "byte", "nonNegativeInteger",
  "positiveInteger", "negativeInteger", "nonPositiveInteger", "unsignedInt", "unsignedLong", "unsignedShort", "unsignedByte"]
  .map((name) => XSD + name));
const WKT = "http://www.opengis.net/ont/geosparql#wktLiteral";

let known = [];
export const setPrefixes = (prefixes) => {
  known = Object.entries(prefixes).sort((a, b) => b[1].length - a[1].length);
};

export const shorten = (iri) => {
  for (const [prefix, namespace] of known) {
    if (iri.startsWith(namespace) && /^[\w-]+$/.test(iri.slice(namespace.length))) return prefix + ":" + iri.slice(namespace.length);
  }
  const owned = /\/g\/0x([0-9a-f]{4})[0-9a-f]{36}\/(.+)$/.exec(iri);
  if (owned) return `0x${owned[1]}…/${owned[2]}`;
  return iri.length > 60 ? "…" + iri.slice(-58) : iri;
};

export const isNumber = (term) => term?.type === "literal" && NUMBERS.has(term.datatype) && Number.isFinite(Number(term.value));

export const isWkt = (term) => term?.type === "literal"
  && (term.datatype === WKT || /^\s*(?:<[^>]*>\s*)?(?:MULTI)?(?:POINT|LINESTRING|POLYGON)\s*\(/i.test(term.value));

export const shown = (term) => {
  if (!term) return "";
  if (term.type === "uri") return shorten(term.value);
  if (term.type === "bnode") return "_:" + term.value;
  if (term.type === "triple") return `<< ${shown(term.value.subject)} ${shown(term.value.predicate)} ${shown(term.value.object)} >>`;
  return term.value;
};

// A term as a query writes it, for its title and for questions about it.
export const written = (term) => {
  if (!term) return "";
  if (term.type === "uri") return `<${term.value}>`;
  if (term.type !== "literal") return shown(term);
  const text = JSON.stringify(term.value);
  return term["xml:lang"] ? `${text}@${term["xml:lang"]}` : term.datatype ? `${text}^^<${term.datatype}>` : text;
};

const RANK = { undefined: 0, bnode: 1, uri: 2, literal: 3, triple: 4 };
export const compare = (a, b) => {
  const by = RANK[a?.type] - RANK[b?.type];
  if (by || !a) return by;
  if (isNumber(a) && isNumber(b)) return Number(a.value) - Number(b.value);
  if (isNumber(a) !== isNumber(b)) return isNumber(a) ? -1 : 1;
  return shown(a).localeCompare(shown(b), "en", { numeric: true });
};
