// Asks an endpoint with fetch-sparql-endpoint: bindings, triples, truth. Prints one JSON object. Argument: endpoint.
import { SparqlEndpointFetcher } from "fetch-sparql-endpoint";

const [endpoint] = process.argv.slice(2);
const told = { rows: [], triples: 0 };
for (const method of ["POST", "GET"]) {
  const fetcher = new SparqlEndpointFetcher({ method, prefixVariableQuestionMark: false });
  const rows = await fetcher.fetchBindings(endpoint, 'PREFIX dapp: <https://w3id.org/dappops#> SELECT ?unit { ?unit a dapp:TrustUnit }');
  for await (const row of rows) told.rows.push(row.unit.value);
}
const fetcher = new SparqlEndpointFetcher();
const query = "PREFIX dapp: <https://w3id.org/dappops#> CONSTRUCT { ?u a dapp:Place } WHERE { ?u a dapp:TrustUnit }";
for await (const quad of await fetcher.fetchTriples(endpoint, query)) told.triples += quad.subject ? 1 : 0;
told.ask = await fetcher.fetchAsk(endpoint, "PREFIX dapp: <https://w3id.org/dappops#> ASK { ?a a dapp:QualityCriticalApplication }");
try {
  for await (const row of await fetcher.fetchBindings(endpoint, "SELECT ?s { ?s ?p ?o }".repeat(50))) void row;
} catch (error) {
  told.error = error.message;
}
console.log(JSON.stringify(told));
