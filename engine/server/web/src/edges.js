// Which answers are a graph: triples, rows of subject, predicate, object, or rows with at least two columns of nodes.
const NAMED = [["s", "p", "o"], ["subject", "predicate", "object"]];
const isNode = (term) => term?.type === "uri" || term?.type === "bnode";

export const edgesOf = (answer) => {
  if (answer.kind === "graph") return answer.triples;
  const triple = NAMED.find((names) => names.every((name) => answer.names.includes(name)));
  if (triple) return answer.rows.filter((row) => triple.every((name) => row[name])).map((row) => triple.map((name) => row[name]));
  const some = answer.rows.slice(0, 200);
  const nodes = answer.names.filter((name) => some.some((row) => isNode(row[name])));
  if (nodes.length < 2) return [];
  const [first, ...others] = nodes;
  return answer.rows.flatMap((row) => others.filter((name) => isNode(row[first]) && isNode(row[name]))
    .map((name) => [row[first], { type: "label", value: name }, row[name]]));
};
