// Signing in: with a token somebody gave, or with a wallet of the browser (EIP-1193) that signs the message of EIP-4361.
const KEY = "dappops.token";

export const account = (place, say) => {
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null"); } catch { /* no storage: signed in for this page only */ }
  if (kept?.until && Date.parse(kept.until) < Date.now()) kept = null;

  const keep = (fresh) => {
    kept = fresh;
    try {
      if (fresh) sessionStorage.setItem(KEY, JSON.stringify(fresh));
      else sessionStorage.removeItem(KEY);
    } catch { /* no storage */ }
    draw();
  };
  const button = (text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "plain";
    made.textContent = text;
    made.addEventListener("click", async () => {
      made.disabled = true;
      try { await act(); } catch (error) { say(`not signed in: ${error.message}`, true); }
      made.disabled = false;
    });
    return made;
  };
  const draw = () => {
    if (kept) {
      const name = document.createElement("span");
      name.textContent = kept.address ? `Signed in as ${kept.address.slice(0, 6)}…${kept.address.slice(-4)}` : "Signed in with a token";
      name.title = kept.address ?? "";
      place.replaceChildren(name, button("Sign out", async () => signOut(kept, keep)));
      return;
    }
    const field = document.createElement("input");
    field.type = "password";
    field.id = "token";
    field.autocomplete = "off";
    field.size = 18;
    const label = document.createElement("label");
    label.htmlFor = "token";
    label.textContent = "Token";
    const use = async () => {
      if (field.value.trim()) keep({ token: field.value.trim() });
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        use();
      }
    });
    const parts = [label, field, button("Use it", use)];
    if (globalThis.ethereum?.request) parts.push(button("Sign in with the wallet", async () => keep(await withWallet(globalThis.ethereum))));
    place.replaceChildren(...parts);
  };
  draw();
  return { token: () => kept?.token ?? "" };
};

const post = async (path, body, token) => {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  if (token) headers.Authorization = "Bearer " + token;
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw new Error(told.detail ?? told.title ?? answer.statusText);
  return told;
};

const withWallet = async (wallet) => {
  const [address] = await wallet.request({ method: "eth_requestAccounts" });
  const { message } = await post("/api/login/challenge", { address });
  const bytes = "0x" + [...new TextEncoder().encode(message)].map((b) => b.toString(16).padStart(2, "0")).join("");
  const signature = await wallet.request({ method: "personal_sign", params: [bytes, address] });
  const told = await post("/api/login", { message, signature });
  return { token: told.token, address: told.address ?? address.toLowerCase(), until: told.expires };
};

const signOut = async (kept, keep) => {
  try { await post("/api/logout", {}, kept.token); } catch { /* it ends by itself */ }
  keep(null);
};
