// Completion: variables of the query, keywords, declared prefixes, and the graph's own terms asked from /api/terms.
const KEYWORDS = ("ADD ASC ASK BASE BIND BNODE BOUND BY CLEAR COALESCE CONCAT CONSTRUCT CONTAINS COUNT DATATYPE DELETE DESC "
  + "DESCRIBE DISTINCT EXISTS FILTER FROM GRAPH GROUP GROUP_CONCAT HAVING IF INSERT ISBLANK ISIRI ISLITERAL ISNUMERIC LANG "
  + "LANGMATCHES LCASE LIMIT MAX MIN MINUS NAMED NOT NOW OFFSET OPTIONAL ORDER PREFIX REDUCED REGEX REPLACE ROUND SAMPLE SELECT "
  + "SEPARATOR SERVICE STR STRAFTER STRBEFORE STRDT STRENDS STRLANG STRLEN STRSTARTS SUBSTR SUM UCASE UNDEF UNION VALUES WHERE YEAR")
  .split(" ");
const TOKEN = /#[^\n]*|<[^<>"{}|^`\s]*>|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[?$]\w+|[\w-]*:[\w.-]*|\w+|[{}.;,()[\]]|[^\s]/g;
const MARKS = new Set(["{", "}", ".", ";", ",", "(", ")", "[", "]"]);

// What stands at the end of a text: "subject", "property" or "object", and the predicate before an object.
export const position = (text) => {
  let place = "subject", predicate = "";
  for (const [token] of text.matchAll(TOKEN)) {
    if (token.startsWith("#")) continue;
    if (token === "." || token === "{" || token === "}") place = "subject";
    else if (token === ";" || token === "[") place = "property";
    else if (token === ",") place = "object";
    else if (MARKS.has(token) || /^(FILTER|BIND|OPTIONAL|UNION|GRAPH|MINUS|WHERE|SELECT|EXISTS)$/i.test(token)) place = "subject";
    else if (place === "subject") place = "property";
    else if (place === "property") {
      place = "object";
      predicate = token;
    } else place = "done";
  }
  return { place, predicate };
};

const asked = new Map();
const terms = async (start, kind, signal) => {
  const url = "/api/terms?" + new URLSearchParams({ prefix: start, kind });
  const kept = asked.get(url);
  if (kept && Date.now() - kept.at < 15_000) return kept.found;
  const answer = await fetch(url, { headers: { Accept: "application/json" }, signal }); // revalidated by its entity tag
  if (!answer.ok) return [];
  const found = (await answer.json()).terms;
  if (asked.size > 200) asked.clear();
  asked.set(url, { at: Date.now(), found });
  return found;
};

export const completions = (prefixes) => async (context) => {
  const variable = context.matchBefore(/[?$]\w*/);
  if (variable) {
    const names = new Set(context.state.doc.toString().match(/[?$]\w+/g) ?? []);
    names.delete(variable.text);
    return { from: variable.from, options: [...names].map((label) => ({ label, type: "variable" })), validFor: /^[?$]\w*$/ };
  }
  const word = context.matchBefore(/<[^<>\s]*|[\w-]*:?[\w-]*/);
  if (!word || (word.from === word.to && !context.explicit)) return null;
  const before = context.state.sliceDoc(Math.max(0, word.from - 5000), word.from);
  const { place, predicate } = position(before);
  const kind = place === "property" ? "property" : place === "object" && /^(a|rdf:type)$/.test(predicate) ? "class" : "any";
  const stop = new AbortController();
  context.addEventListener("abort", () => stop.abort());
  let found = [];
  try { found = await terms(word.text.replace(/^</, ""), kind, stop.signal); } catch { /* typed on, or no answer: the rest completes */ }
  const options = found.map((t, i) => ({ label: t.text, detail: t.label && t.label !== t.text ? t.label : t.kind, boost: 50 - i }));
  if (!word.text.includes(":") && !word.text.startsWith("<")) {
    options.push(...KEYWORDS.map((label) => ({ label, type: "keyword", boost: -60 })));
    options.push(...Object.entries(prefixes).map(([p, ns]) => ({ label: p + ":", detail: ns, boost: -50 })));
  }
  // the server has compared labels too, so what it found is not filtered again by its spelling
  return { from: word.from, options: options.filter((o) => keep(o, word.text)), filter: false };
};

const keep = (option, text) => option.type !== "keyword" && option.boost > -50
  || option.label.toLowerCase().startsWith(text.toLowerCase());
