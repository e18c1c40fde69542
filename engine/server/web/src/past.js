// Queries asked before, in this browser only.
const KEY = "dappops.queries";
const MOST = 50;

export const past = () => {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((e) => typeof e?.text === "string") : [];
  } catch {
    return []; // no storage, or not ours
  }
};

export const remember = (text) => {
  const kept = past().filter((entry) => entry.text !== text).slice(0, MOST - 1);
  try { localStorage.setItem(KEY, JSON.stringify([{ text, at: new Date().toISOString() }, ...kept])); } catch { /* full, or not allowed */ }
};

export const forget = () => {
  try { localStorage.removeItem(KEY); } catch { /* not allowed */ }
};
