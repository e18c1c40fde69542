// Rows as a table: pages of rows, sorted by a click on a column's name, terms written short with the whole in the title.
import { compare, isNumber, shown, written } from "./terms.js";

const PAGE = 50;

export const showTable = (place, names, rows, { describe }) => {
  let order = rows, page = 0, sorted = null, falling = false;
  const table = document.createElement("table");
  const pager = document.createElement("div");
  pager.className = "row pager";
  const frame = document.createElement("div");
  frame.className = "scroll";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "Rows of the answer");
  frame.append(table);
  place.replaceChildren(frame, pager);

  const head = document.createElement("thead");
  const line = head.insertRow();
  names.forEach((name) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = name;
    button.addEventListener("click", () => {
      falling = sorted === name && !falling;
      sorted = name;
      order = [...rows].sort((a, b) => compare(a[name], b[name]) * (falling ? -1 : 1));
      for (const other of line.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", falling ? "descending" : "ascending");
      page = 0;
      draw();
    });
    cell.append(button);
    line.append(cell);
  });
  const body = document.createElement("tbody");
  table.append(head, body);

  const draw = () => {
    body.replaceChildren(...order.slice(page * PAGE, (page + 1) * PAGE).map((row) => {
      const tr = document.createElement("tr");
      for (const name of names) tr.append(cellOf(row[name], describe));
      return tr;
    }));
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    const button = (text, to, off) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.disabled = off;
      made.className = "plain";
      made.addEventListener("click", () => { page = to; draw(); pager.querySelector("button:not(:disabled)")?.focus(); });
      return made;
    };
    const where = document.createElement("span");
    where.textContent = rows.length
      ? `rows ${page * PAGE + 1} to ${Math.min(rows.length, (page + 1) * PAGE)} of ${rows.length.toLocaleString("en")}` : "no rows";
    pager.replaceChildren(...(pages > 1 ? [
      button("First", 0, page === 0), button("Previous", page - 1, page === 0), where,
      button("Next", page + 1, page >= pages - 1), button("Last", pages - 1, page >= pages - 1),
    ] : [where]));
  };
  draw();
};

const cellOf = (term, describe) => {
  const td = document.createElement("td");
  if (!term) return td;
  if (term.type === "uri") {
    const link = document.createElement("a");
    link.href = describe(term.value);
    link.textContent = shown(term);
    link.title = term.value;
    td.append(link);
    return td;
  }
  td.textContent = shown(term);
  if (isNumber(term)) td.className = "number";
  td.title = written(term);
  if (term["xml:lang"]) {
    td.lang = term["xml:lang"];
    const tag = document.createElement("span");
    tag.className = "tag";
    tag.textContent = term["xml:lang"];
    td.append(" ", tag);
  }
  return td;
};
