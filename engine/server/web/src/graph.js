// Triples as a picture of nodes and edges; a node's literals are told when it is chosen.
import cytoscape from "cytoscape";
import { shown } from "./terms.js";

const MOST = 300; // nodes that a person can still tell apart
const LABELS = new Set(["http://www.w3.org/2000/01/rdf-schema#label", "http://www.w3.org/2004/02/skos/core#prefLabel"]);
const isNode = (term) => term.type === "uri" || term.type === "bnode";
const tail = (text) => text.replace(/^(0x|…).*\//, "");
const key = (term) => term.type + " " + term.value;

export const showGraph = (place, edges) => {
  const nodes = new Map(), links = new Map();
  let left = 0;
  const node = (term) => {
    const id = key(term);
    if (!nodes.has(id)) {
      if (nodes.size >= MOST) return null;
      nodes.set(id, { id, label: tail(shown(term)), said: [], iri: term.value });
    }
    return nodes.get(id);
  };
  for (const [subject, predicate, object] of edges) {
    const from = node(subject);
    if (from && !isNode(object)) {
      if (LABELS.has(predicate.value)) from.label = shown(object);
      from.said.push([shown(predicate), shown(object)]);
      continue;
    }
    const to = from && node(object);
    if (!to) {
      left += 1;
      continue;
    }
    const label = predicate.type === "label" ? predicate.value : shown(predicate);
    links.set(`${from.id}\n${label}\n${to.id}`, { source: from.id, target: to.id, label });
  }
  const box = document.createElement("div");
  box.className = "graph";
  const told = document.createElement("div");
  told.className = "told";
  told.setAttribute("aria-live", "polite");
  told.textContent = "Choose a node to read what is said of it.";
  place.replaceChildren(box, told);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const drawn = cytoscape({
    container: box,
    elements: [
      ...[...nodes.values()].map((data) => ({ data })), ...[...links].map(([id, data]) => ({ data: { id, ...data } })),
    ],
    style: [
      { selector: "node", style: {
        "background-color": colour("--accent"), label: "data(label)", color: colour("--ink"), "font-size": 11, width: 18, height: 18,
        "text-valign": "bottom", "text-margin-y": 4, "text-wrap": "ellipsis", "text-max-width": 140,
        "text-background-color": colour("--sheet"), "text-background-opacity": 0.8,
      } },
      { selector: "node:selected", style: { "background-color": colour("--bad"), "border-width": 3, "border-color": colour("--ink") } },
      { selector: "edge", style: {
        width: 1.4, "line-color": colour("--quiet"), "target-arrow-color": colour("--quiet"), "target-arrow-shape": "triangle",
        "curve-style": "bezier", label: "data(label)", "font-size": 8, "min-zoomed-font-size": 7, color: colour("--quiet"), "text-rotation": "autorotate",
        "text-background-color": colour("--sheet"), "text-background-opacity": 0.8,
      } },
    ],
    layout: { name: "cose", animate: false, randomize: true, nodeRepulsion: () => 60_000, idealEdgeLength: () => 110, nodeDimensionsIncludeLabels: true, padding: 20 },
    maxZoom: 3, minZoom: 0.1,
  });
  drawn.on("select", "node", (event) => {
    const data = event.target.data();
    const list = document.createElement("dl");
    list.className = "about";
    for (const [name, value] of [["", data.iri], ...data.said.slice(0, 20)]) {
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name || "IRI";
      text.textContent = value.slice(0, 300);
      list.append(term, text);
    }
    told.replaceChildren(list);
  });
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", `Graph of ${nodes.size} nodes and ${links.size} edges; the table shows the same as text`);
  const count = `${nodes.size} nodes, ${links.size} edges`;
  return left ? `${count}; ${left.toLocaleString("en")} more edges are in the table` : count;
};
