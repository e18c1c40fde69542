// Signing in: with a token somebody gave, or with a wallet of the browser (EIP-1193) that signs the message of EIP-4361.
// A wallet's session is the server's cookie, which no script can read; a pasted token is kept for this tab.
const KEY = "dappops.token";

export const account = (place, say) => {
  let token = "", session = null;
  try { token = sessionStorage.getItem(KEY) ?? ""; } catch { /* no storage: signed in for this page only */ }

  const keep = (fresh) => {
    token = fresh;
    try {
      if (fresh) sessionStorage.setItem(KEY, fresh);
      else sessionStorage.removeItem(KEY);
    } catch { /* no storage */ }
  };
  const headers = () => (token ? { Authorization: "Bearer " + token } : session?.csrf ? { "X-CSRF-Token": session.csrf } : {});
  const look = async () => {
    const answer = await fetch("/api/me", { headers: { Accept: "application/json", ...headers() } });
    if (answer.status === 401) {
      keep("");
      say("the token does not hold, or has run out", true);
    }
    const told = answer.ok ? await answer.json() : {};
    session = told.address ? told : null;
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
    if (session) {
      const name = document.createElement("span");
      name.textContent = `Signed in as ${session.address.slice(0, 6)}…${session.address.slice(-4)}`;
      name.title = session.address;
      place.replaceChildren(name, button("Sign out", async () => {
        await post("/api/sign-out", {}, headers());
        keep("");
        session = null;
        draw();
      }));
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
      if (!field.value.trim()) return;
      keep(field.value.trim());
      await look();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        use();
      }
    });
    const parts = [label, field, button("Use it", use)];
    if (globalThis.ethereum?.request) parts.push(button("Sign in with the wallet", async () => {
      await withWallet(globalThis.ethereum);
      await look();
    }));
    place.replaceChildren(...parts);
  };
  draw();
  const ready = look().catch(() => { /* no answer: not signed in */ });
  return { ready, headers };
};

const post = async (path, body, more = {}) => {
  const headers = { "Content-Type": "application/json", Accept: "application/json", ...more };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const told = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw new Error(told.detail ?? told.title ?? answer.statusText);
  return told;
};

const withWallet = async (wallet) => {
  const [address] = await wallet.request({ method: "eth_requestAccounts" });
  const { message } = await post("/api/sign-in/nonce", { address });
  const bytes = "0x" + [...new TextEncoder().encode(message)].map((b) => b.toString(16).padStart(2, "0")).join("");
  const signature = await wallet.request({ method: "personal_sign", params: [bytes, address] });
  return post("/api/sign-in", { message, signature });
};
