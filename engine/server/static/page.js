// Keeps the page's parts fresh. All HTML comes escaped from the server; without this script
// the page still works, by reloading it.
"use strict";
(() => {
  const PERIOD = 2000; // milliseconds between two looks
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  const application = main.dataset.application;
  const parts = [...document.querySelectorAll(".part")];
  let seen = document.getElementById("version").textContent;

  const parse = (text) => new DOMParser().parseFromString(text, "text/html");
  const told = (text, lost) => {
    if (live.textContent !== text) live.textContent = text;
    live.classList.toggle("lost", Boolean(lost));
  };

  // What a person opened stays open, and what has the focus keeps it.
  const replace = (part, html) => {
    const fresh = parse(html).body.firstElementChild;
    if (!fresh || part.firstElementChild.outerHTML === fresh.outerHTML) return;
    const key = (details, place) => details.id || String(place);
    const opened = new Map([...part.querySelectorAll("details")].map((d, i) => [key(d, i), d.open]));
    const answers = new Map([...part.querySelectorAll("details[data-told]")].map((d) => [d.id, d]));
    const focus = [...part.querySelectorAll("summary, a, [tabindex]")].indexOf(document.activeElement);
    [...fresh.querySelectorAll("details")].forEach((d, i) => {
      if (opened.has(key(d, i))) d.open = opened.get(key(d, i));
    });
    for (const old of answers.values()) {
      const place = fresh.querySelector("#" + CSS.escape(old.id));
      if (place) place.replaceWith(old);
    }
    part.replaceChildren(fresh);
    if (focus >= 0) part.querySelectorAll("summary, a, [tabindex]")[focus]?.focus({ preventScroll: true });
  };

  const look = async () => {
    try {
      const status = await fetch("/api/status", { headers: { Accept: "application/json" } });
      if (!status.ok) throw new Error(String(status.status));
      const version = String((await status.json()).version);
      if (version !== seen) {
        const query = application ? "?application=" + encodeURIComponent(application) : "";
        await Promise.all(parts.map(async (part) => {
          const answer = await fetch("/part/" + part.dataset.part + query);
          if (answer.ok) replace(part, await answer.text());
        }));
        seen = version;
        document.getElementById("version").textContent = version;
      }
      told("live");
    } catch {
      told("no answer from the server", true);
    }
    setTimeout(look, document.hidden ? 5 * PERIOD : PERIOD);
  };
  setTimeout(look, PERIOD);

  document.addEventListener("toggle", async (event) => {
    const details = event.target;
    if (!(details instanceof HTMLDetailsElement) || !details.open || !details.dataset.why || details.dataset.told) return;
    const place = details.querySelector(".why");
    try {
      const answer = await fetch(details.dataset.why, { headers: { Accept: "text/html" } });
      const shown = parse(await answer.text());
      place.replaceChildren(...(shown.querySelector(".problem") ? [shown.querySelector(".problem")] : shown.body.childNodes));
      if (answer.ok) details.dataset.told = "yes";
    } catch {
      place.append(" (no answer from the server)");
    }
  }, true);
})();
