"use strict";
(() => {
  const byID = (id) => document.getElementById(id);
  const link = byID("link"), pause = byID("pause"), told = byID("told");
  let stream = null, paused = false, again = 0, hush = 0, focus = null;

  const state = (kind, text) => { link.className = kind; link.textContent = text; };

  // Pieces that look as they did are left alone. One that has the focus gives it to
  // what has its place now.
  const put = (piece) => {
    const at = byID(piece.id);
    if (!at || at.dataset.key === piece.key) return;
    const button = at.contains(document.activeElement) ? document.activeElement.value : undefined;
    const home = button && document.activeElement.closest("[data-key]").id;
    at.innerHTML = piece.html;
    at.dataset.key = piece.key;
    if (home) focus = { home, button };
    if (focus && byID(focus.home)) {
      const buttons = [...byID(focus.home).querySelectorAll("button")];
      const next = buttons.find((b) => b.value === focus.button) || buttons[0];
      if (next) { next.focus({ preventScroll: true }); focus = null; }
    }
  };

  const open = () => {
    close();
    stream = new EventSource("events");
    stream.onopen = () => state("live", "live");
    stream.onmessage = (e) => JSON.parse(e.data).forEach(put);
    stream.onerror = () => {
      state("lost", "connection lost, trying again");
      // The browser does not try again after an answer that is no stream.
      if (stream.readyState === EventSource.CLOSED) again = setTimeout(open, 1000);
    };
  };
  const close = () => { clearTimeout(again); if (stream) stream.close(); stream = null; };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) { close(); state("still", "paused"); } else open();
  });
  // A page that nobody sees needs no news.
  document.addEventListener("visibilitychange", () => {
    if (!paused) document.hidden ? close() : open();
  });

  const tell = (text, bad) => {
    clearTimeout(hush);
    const p = document.createElement("p");
    p.textContent = text;
    p.className = bad ? "bad" : "";
    told.replaceChildren(p);
    hush = setTimeout(() => told.replaceChildren(), 6000);
  };
  document.addEventListener("submit", async (e) => {
    e.preventDefault();
    const form = new FormData(e.target);
    form.set(e.submitter.name, e.submitter.value);
    try {
      const answer = await fetch("inject", { method: "POST", headers: { Accept: "text/plain" }, body: new URLSearchParams(form) });
      tell(await answer.text(), !answer.ok);
    } catch {
      tell("the shop does not answer", true);
    }
  });

  open();
})();
