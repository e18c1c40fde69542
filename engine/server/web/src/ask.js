// Asks /sparql and reads the answer as it comes, so that a long one shows its rows early and can be cut short.
export const MOST_ROWS = 50_000; // kept in the page; a download has all
const MOST_TRIPLES = 20_000;
const TRIPLES = "application/n-triples";
const ROWS = "application/sparql-results+json";

export class Refusal extends Error {
  constructor(problem, status) {
    super(problem.detail ?? problem.title ?? `status ${status}`);
    this.problem = problem;
    this.status = status;
  }
}

export const send = async (text, accept, { signal, who }) => {
  const headers = { Accept: accept, "Content-Type": "application/x-www-form-urlencoded", ...who };
  const answer = await fetch("/sparql", { method: "POST", headers, body: new URLSearchParams({ query: text }), signal });
  if (!answer.ok) {
    const told = await answer.text();
    let problem;
    try { problem = JSON.parse(told); } catch { problem = { title: answer.statusText, detail: told.slice(0, 500) }; }
    throw new Refusal(problem, answer.status);
  }
  return answer;
};

// -> {kind: "rows", names, rows} | {kind: "truth", value} | {kind: "graph", triples}; `cut` when there was more
export const ask = async (text, { signal, who, progress }) => {
  const stop = new AbortController();
  const answer = await send(text, `${ROWS}, ${TRIPLES};q=0.9`, { signal: AbortSignal.any([signal, stop.signal]), who });
  const kind = (answer.headers.get("Content-Type") ?? "").split(";")[0].trim();
  const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const read = kind === TRIPLES ? readTriples : readRows;
  return { ...(await read(pieces, progress, () => stop.abort())), etag: answer.headers.get("ETag") ?? "" };
};

const readRows = async (pieces, progress, stop) => {
  const rows = [];
  let head = "", cell = "", depth = 0, quoted = false, escaped = false, inside = false;
  for (;;) {
    const { done, value } = await pieces.read();
    if (done) break;
    for (const letter of value) {
      if (!quoted) {
        if (letter === "{" || letter === "[") depth += 1;
        if (letter === "}" || letter === "]") depth -= 1;
      }
      // the bindings are the only array two objects deep: {"results": {"bindings": [
      if (inside && depth >= 4 || cell) cell += letter; else if (!inside || depth < 3) head += letter;
      if (quoted) {
        if (escaped) escaped = false;
        else if (letter === "\\") escaped = true;
        else if (letter === '"') quoted = false;
        continue;
      }
      if (letter === '"') quoted = true;
      else if (letter === "[" && depth === 3 && /"bindings"\s*:\s*\[$/.test(head)) inside = true;
      else if (letter === "]" && depth === 2) inside = false;
      else if (letter === "}" && inside && depth === 3 && cell) {
        rows.push(JSON.parse(cell));
        cell = "";
      }
    }
    progress(rows.length);
    if (rows.length >= MOST_ROWS) {
      stop();
      return { kind: "rows", names: JSON.parse(/"vars"\s*:\s*(\[[^\]]*\])/.exec(head)[1]), rows: rows.slice(0, MOST_ROWS), cut: true };
    }
  }
  const told = JSON.parse(head);
  return "boolean" in told ? { kind: "truth", value: told.boolean } : { kind: "rows", names: told.head.vars ?? [], rows };
};

const readTriples = async (pieces, progress, stop) => {
  const { Parser } = await import("n3");
  const parser = new Parser({ format: "N-Triples" });
  let text = "", lines = 0, cut = false;
  for (;;) {
    const { done, value } = await pieces.read();
    if (done) break;
    text += value;
    lines += value.split("\n").length - 1;
    progress(lines);
    if (lines > MOST_TRIPLES) {
      stop();
      cut = true;
      break;
    }
  }
  if (cut) text = text.slice(0, text.lastIndexOf("\n") + 1);
  return { kind: "graph", cut, triples: parser.parse(text).map((t) => [t.subject, t.predicate, t.object].map(term)) };
};

const term = (t) => {
  if (t.termType === "NamedNode") return { type: "uri", value: t.value };
  if (t.termType === "BlankNode") return { type: "bnode", value: t.value };
  if (t.termType === "Quad") return { type: "triple", value: { subject: term(t.subject), predicate: term(t.predicate), object: term(t.object) } };
  const out = { type: "literal", value: t.value };
  if (t.language) out["xml:lang"] = t.language;
  else if (!t.datatype.value.endsWith("#string")) out.datatype = t.datatype.value;
  return out;
};
