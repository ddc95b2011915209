// Brings the page up to date while its sweep runs: new content goes into the elements that are there,
// so that scroll, zoom, what is open and what was typed stay.
(() => {
  "use strict";
  const PARTS = ["header", "nav", "main", "footer", "#figures"];
  const EVERY_MS = 2000;
  let version = document.currentScript.dataset.version;
  const note = document.createElement("p");
  note.id = "live";
  note.setAttribute("role", "status");
  note.style.cssText = "position:fixed;right:1rem;bottom:1rem;margin:0;padding:.3rem .7rem;z-index:9;"
    + "border-radius:.5rem;background:var(--card);border:1px solid var(--line);color:var(--ink)";
  document.body.append(note);
  document.documentElement.style.overflowAnchor = "none"; // update() keeps the place itself

  function morph(old, next) {
    if (old.nodeName !== next.nodeName || (old.id ?? "") !== (next.id ?? "")) {
      old.replaceWith(next);
    } else if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== next.data) old.data = next.data;
    } else {
      for (const { name, value } of next.attributes) {
        if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
      }
      if (!old.classList.contains("chart")) children(old, next);
    }
  }

  function children(old, next) {
    const kept = new Map([...old.children].filter(({ id }) => id).map((child) => [child.id, child]));
    let at = old.firstChild;
    for (const child of [...next.childNodes]) {
      const same = child.id ? kept.get(child.id) : undefined;
      if (same) {
        if (same !== at) old.insertBefore(same, at);
        at = same.nextSibling;
        morph(same, child);
      } else if (at === null || at.id) {
        old.insertBefore(child, at);
      } else {
        const following = at.nextSibling;
        morph(at, child);
        at = following;
      }
    }
    while (at !== null) {
      const following = at.nextSibling;
      at.remove();
      at = following;
    }
  }

  // The server has nothing but the page: what lies beside it can be named, not opened.
  const unlink = (page) => page.querySelectorAll("a.beside").forEach((link) => link.replaceWith(link.textContent));
  unlink(document);

  function update(text) {
    const next = new DOMParser().parseFromString(text, "text/html");
    unlink(next);
    const passed = [...document.querySelectorAll("section[id], .chart")] // what is read just now
      .filter((part) => part.getBoundingClientRect().top <= 60).at(-1);
    const before = passed?.getBoundingClientRect().top;
    for (const part of PARTS) morph(document.querySelector(part), next.querySelector(part));
    document.dispatchEvent(new Event("report:updated"));
    if (!passed?.isConnected) return;
    scrollBy({ top: passed.getBoundingClientRect().top - before, behavior: "instant" });
  }

  async function ask(path) {
    const answer = await fetch(path, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.text();
  }

  async function look() {
    try {
      const [latest, state] = (await ask("version")).split(" ");
      if (latest !== version) {
        update(await ask("update"));
        version = latest;
      }
      note.textContent = state === "ended" ? "the sweep has ended" : "live";
    } catch {
      note.textContent = "no answer: this is how it stood last";
    }
    setTimeout(look, EVERY_MS);
  }
  look();
})();
