// The query page: puts editor, examples, answers and sign-in together. Without it the plain form asks /sparql itself.
import { account } from "./account.js";
import { Refusal, ask, MOST_ROWS } from "./ask.js";
import { download, formatsOf } from "./download.js";
import { makeEditor } from "./editor.js";
import { edgesOf } from "./edges.js";
import { forget, past, remember } from "./past.js";
import { placesIn } from "./places.js";
import { showTable } from "./table.js";
import { setPrefixes, shown } from "./terms.js";

const at = (id) => document.getElementById(id);
const form = at("query-form"), box = at("query"), status = at("status"), views = at("views"), tabs = at("tabs");
const prefixes = JSON.parse(form.dataset.prefixes);
setPrefixes(prefixes);
document.documentElement.classList.add("scripted");

const editor = makeEditor(at("editor"), fromHash()?.text ?? box.value, { onRun: run, prefixes, label: "SPARQL query" });
box.hidden = true;
box.disabled = true; // the editor's text is sent instead
at("editor").hidden = false;
const who = account(at("account"), say);

let running = null, answer = null, wanted = fromHash()?.show ?? "", drawn = 0;

function fromHash() {
  const said = new URLSearchParams(location.hash.slice(1));
  return said.has("query") ? { text: said.get("query"), show: said.get("show") ?? "" } : null;
}

const linkTo = (text, show) => "#" + new URLSearchParams({ query: text, ...(show ? { show } : {}) });

function say(text, bad) {
  status.textContent = text;
  status.classList.toggle("bad", Boolean(bad));
}

async function run() {
  running?.abort();
  const mine = (running = new AbortController());
  const text = editor.text(), begun = performance.now();
  const took = () => ((performance.now() - begun) / 1000).toFixed(2) + " s";
  editor.clear();
  at("problem").replaceChildren();
  at("run").disabled = true;
  at("cancel").disabled = false;
  views.setAttribute("aria-busy", "true");
  let count = 0;
  const clock = setInterval(() => say(`running, ${took()}${count ? `, ${count.toLocaleString("en")} so far` : ""}`), 100);
  history.replaceState(null, "", linkTo(text, wanted));
  remember(text);
  listPast();
  try {
    await who.ready;
    const found = await ask(text, { signal: mine.signal, who: who.headers(), progress: (n) => { count = n; } });
    answer = { ...found, text };
    clearInterval(clock);
    say(`${countOf(found)} in ${took()}`);
    document.title = "Answer: DAppOps query";
    await showAnswer();
  } catch (error) {
    clearInterval(clock);
    if (mine.signal.aborted) say(mine === running ? `cancelled after ${took()}` : "");
    else refuse(error, took());
  }
  clearInterval(clock);
  if (mine === running) {
    running = null;
    at("run").disabled = false;
    at("cancel").disabled = true;
    views.removeAttribute("aria-busy");
  }
}

const countOf = (found) => {
  const of = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
  if (found.kind === "truth") return found.value ? "yes" : "no";
  if (found.kind === "graph") return of(found.triples.length, "triple", "triples") + (found.cut ? ", the first of more" : "");
  return of(found.rows.length, "row", "rows") + (found.cut ? `, the first of more than ${MOST_ROWS.toLocaleString("en")} (a download has all)` : "");
};

function refuse(error, took) {
  views.replaceChildren();
  tabs.replaceChildren();
  at("formats").replaceChildren();
  answer = null;
  const problem = error instanceof Refusal ? error.problem
    : { title: "The answer broke off", detail: error instanceof TypeError ? "The server ended the transfer, or does not answer." : String(error.message), remedy: "Add a LIMIT, or ask again." };
  say(`failed after ${took}`, true);
  const told = document.createElement("div");
  told.className = "problem";
  told.setAttribute("role", "alert");
  const title = document.createElement("h3");
  title.textContent = problem.title ?? "Refused";
  told.append(title);
  for (const [name, label] of [["detail", ""], ["place", "Where: "], ["rule", "Rule: "], ["remedy", "What to do: "]]) {
    if (!problem[name]) continue;
    const line = document.createElement("p");
    line.textContent = label + problem[name];
    told.append(line);
  }
  at("problem").replaceChildren(told);
  const place = /line (\d+)(?:, column (\d+))?/.exec(String(problem.place ?? ""));
  const line = problem.line ?? place?.[1], column = problem.column ?? place?.[2] ?? 1;
  if (line) editor.mark(problem.detail ?? problem.title, Number(line), Number(column));
}

// -- answers -----------------------------------------------------------------------------------------------------------
const SHOWN = { table: "Table", map: "Map", graph: "Graph" };

async function showAnswer() {
  const all = Object.keys(SHOWN).filter((show) => canShow(show));
  const show = all.includes(wanted) ? wanted : all[0];
  tabs.replaceChildren(...(all.length > 1 ? all.map((name) => tab(name, name === show)) : []));
  at("formats").replaceChildren(...formatsOf(answer).map(saver));
  if (!show) {
    const truth = document.createElement("p");
    truth.className = "truth";
    truth.textContent = answer.value ? "yes" : "no";
    views.replaceChildren(truth);
    return;
  }
  await draw(show);
}

function canShow(show) {
  if (answer.kind === "truth") return false;
  if (show === "table") return true;
  if (show === "graph") return edgesOf(answer).length > 0;
  if (answer.kind !== "rows") return false;
  const { wkt, pairs } = placesIn(answer.names, answer.rows);
  return wkt.length + pairs.length > 0;
}

function tab(name, chosen) {
  const made = document.createElement("button");
  made.type = "button";
  made.id = "tab-" + name;
  made.setAttribute("role", "tab");
  made.setAttribute("aria-controls", "views");
  made.setAttribute("aria-selected", String(chosen));
  made.tabIndex = chosen ? 0 : -1;
  made.textContent = SHOWN[name];
  made.addEventListener("click", () => choose(name));
  made.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...tabs.children];
    const next = all[(all.indexOf(made) + step + all.length) % all.length];
    next.click();
    next.focus();
  });
  return made;
}

function choose(name) {
  wanted = name;
  for (const other of tabs.children) {
    const chosen = other.id === "tab-" + name;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
  }
  history.replaceState(null, "", linkTo(answer.text, name));
  draw(name);
}

async function draw(show) {
  const mine = (drawn += 1);
  views.dataset.show = show;
  views.setAttribute("aria-labelledby", tabs.children.length ? "tab-" + show : "answer-title");
  const describe = (iri) => linkTo(`DESCRIBE <${iri}>`, "");
  const note = at("note");
  note.textContent = "";
  if (show === "table") {
    const names = answer.kind === "graph" ? ["subject", "predicate", "object"] : answer.names;
    const rows = answer.kind === "graph"
      ? answer.triples.map(([subject, predicate, object]) => ({ subject, predicate, object })) : answer.rows;
    showTable(views, names, rows, { describe });
    return;
  }
  views.textContent = "drawing…";
  const stage = document.createElement("div");
  if (show === "map") {
    const { showMap } = await import("./map.js");
    if (mine !== drawn) return;
    views.replaceChildren(stage); // a map must know its size when it is made
    note.textContent = showMap(stage, answer.names, answer.rows, placesIn(answer.names, answer.rows));
  } else {
    const { showGraph } = await import("./graph.js");
    if (mine !== drawn) return;
    views.replaceChildren(stage);
    note.textContent = showGraph(stage, edgesOf(answer));
  }
}

function saver(format) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "plain";
  made.textContent = format[0];
  made.addEventListener("click", async () => {
    made.disabled = true;
    try {
      await download(answer.text, format, { who: who.headers() });
      say(`saved as ${format[0]}`);
    } catch (error) {
      say(`not saved: ${error.message}`, true);
    }
    made.disabled = false;
  });
  return made;
}

// -- examples and past queries -----------------------------------------------------------------------------------------
const entry = (title, about, text, show = "") => {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "entry";
  const name = document.createElement("span");
  name.textContent = title;
  button.append(name);
  if (about) {
    const more = document.createElement("span");
    more.className = "sub";
    more.textContent = about;
    button.append(more);
  }
  button.addEventListener("click", () => {
    wanted = show;
    editor.set(text);
    editor.focus();
    run();
  });
  item.append(button);
  return item;
};

const group = (name, items, open) => {
  const details = document.createElement("details");
  details.open = open;
  const summary = document.createElement("summary");
  summary.textContent = name + " ";
  const count = document.createElement("span");
  count.className = "count";
  count.textContent = items.length;
  summary.append(count);
  const list = document.createElement("ul");
  list.append(...items);
  details.append(summary, list);
  return details;
};

async function listExamples() {
  try {
    const found = await (await fetch("/api/examples", { headers: { Accept: "application/json" } })).json();
    at("examples").replaceChildren(...found.groups.filter((g) => g.queries.length).map((g, i) => group(
      g.name, g.queries.map((e) => entry(e.title, e.question, e.text, e.show)), i === 0,
    )));
  } catch {
    at("examples").textContent = "no answer from the server";
  }
}

function listPast() {
  const kept = past();
  const clear = document.createElement("button");
  clear.type = "button";
  clear.className = "plain";
  clear.textContent = "Forget them";
  clear.addEventListener("click", () => { forget(); listPast(); });
  const opened = at("past").querySelector("details")?.open ?? false;
  const made = group("Asked before", kept.map((e) => entry(
    e.text.replace(/\s+/g, " ").slice(0, 90), e.at.slice(0, 16).replace("T", " "), e.text,
  )), opened);
  if (kept.length) made.append(clear);
  at("past").replaceChildren(...(kept.length ? [made] : []));
}

// -- controls ----------------------------------------------------------------------------------------------------------
form.addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
at("cancel").addEventListener("click", () => running?.abort());
at("link").addEventListener("click", async () => {
  const link = location.origin + location.pathname + linkTo(editor.text(), wanted);
  history.replaceState(null, "", link);
  try {
    await navigator.clipboard.writeText(link);
    say("the link is copied");
  } catch {
    say("the link is in the address bar");
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running && !event.defaultPrevented) running.abort();
});
addEventListener("hashchange", () => {
  const said = fromHash();
  if (!said) return;
  wanted = said.show;
  editor.set(said.text);
  run();
});

listPast();
listExamples();
if (fromHash()) run();
else if (new URLSearchParams(location.search).has("query")) run();
