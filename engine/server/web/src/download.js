// The whole answer as a file, in a format of the endpoint.
import { send } from "./ask.js";

const ROWS = [
  ["JSON", "application/sparql-results+json", "srj"], ["XML", "application/sparql-results+xml", "srx"],
  ["CSV", "text/csv", "csv"], ["TSV", "text/tab-separated-values", "tsv"],
];
const TRUTH = ROWS.slice(0, 2);
const GRAPH = [
  ["Turtle", "text/turtle", "ttl"], ["N-Triples", "application/n-triples", "nt"], ["RDF/XML", "application/rdf+xml", "rdf"],
  ["JSON-LD", "application/ld+json", "jsonld"], ["TriG", "application/trig", "trig"], ["N-Quads", "application/n-quads", "nq"],
];

export const formatsOf = (answer) => (answer.kind === "rows" ? ROWS : answer.kind === "truth" ? TRUTH : GRAPH);

export const download = async (text, [, accept, ending], options) => {
  const answer = await send(text, accept, options);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = "answer." + ending;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};
