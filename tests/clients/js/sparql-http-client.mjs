// Asks an endpoint with sparql-http-client: streaming and parsing clients, query, construct, ask, store and update.
// Prints one JSON object. Arguments: endpoint, graph store, graph, token.
import rdf from "@rdfjs/data-model";
import ParsingClient from "sparql-http-client/ParsingClient.js";
import StreamClient from "sparql-http-client/StreamClient.js";

const [endpointUrl, storeUrl, graph, token] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const parsing = new ParsingClient({ endpointUrl, updateUrl: endpointUrl, storeUrl, headers });
const streaming = new StreamClient({ endpointUrl, updateUrl: endpointUrl, storeUrl, headers });
const told = {};

told.rows = (await parsing.query.select("SELECT ?unit ?label { ?unit a dapp:TrustUnit ; rdfs:label ?label }"))
  .map((row) => ({ unit: row.unit.value, label: row.label.value, language: row.label.language }));
told.ask = await parsing.query.ask("ASK { ?application a dapp:QualityCriticalApplication }");
told.triples = [...(await parsing.query.construct("CONSTRUCT { ?u a dapp:Place } WHERE { ?u a dapp:TrustUnit }"))].length;
told.streamed = 0;
for await (const row of streaming.query.select("SELECT * { ?s ?p ?o } LIMIT 1234")) told.streamed += row.s ? 1 : 0;

await parsing.query.update(`INSERT DATA { GRAPH <${graph}> { <${graph}/js> rdfs:label "written by JavaScript" } }`);
told.afterUpdate = (await parsing.query.select(`SELECT ?l { GRAPH <${graph}> { <${graph}/js> rdfs:label ?l } }`))[0]?.l.value;
told.stored = [];
for await (const quad of streaming.store.get(rdf.namedNode(graph))) told.stored.push(quad.object.value);
try {
  await parsing.query.select("SELECT ?s { ?s ?p }");
} catch (error) {
  told.error = { status: error.status, message: error.message };
}
console.log(JSON.stringify(told));
