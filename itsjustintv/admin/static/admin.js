// Updates the page, and lets its buttons act without leaving it. The page works without scripts, too.
"use strict";

(() => {
  const stream = document.getElementById("stream");
  const said = document.getElementById("said");
  if (!said) return;

  // Relative times.
  const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
  const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  function tick() {
    const now = Date.now();
    for (const time of document.querySelectorAll("time")) {
      const moment = new Date(time.dateTime);
      const seconds = Math.round((moment - now) / 1000);
      const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) || ["second", 1];
      const words = relative.format(Math.trunc(seconds / size), unit);
      if (time.textContent !== words) time.textContent = words;
      if (!time.title) time.title = absolute.format(moment);
    }
  }

  // Updates an element to equal another, but keeps the focus, what is unfolded, and what is being typed.
  function become(old, fresh) {
    for (const { name, value } of [...fresh.attributes]) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      const kept = (name === "open" && old.tagName === "DETAILS") || (name === "title" && old.tagName === "TIME");
      if (!fresh.hasAttribute(name) && !kept) old.removeAttribute(name);
    }
    const keys = new Set([...fresh.children].map(key));
    for (const child of [...old.children]) if (key(child) && !keys.has(key(child))) child.remove();
    const byKey = new Map([...old.children].filter((each) => key(each)).map((each) => [key(each), each]));
    let place = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const match = key(child) ? byKey.get(key(child)) : alike(place, child.nodeName);
      if (!match) {
        old.insertBefore(child, place);
        continue;
      }
      while (!key(child) && place !== match) place = gone(place);
      if (match === place) place = place.nextSibling;
      else old.insertBefore(match, place);
      if (match.nodeType === Node.ELEMENT_NODE) become(match, child);
      else if (match.nodeValue !== child.nodeValue) match.nodeValue = child.nodeValue;
    }
    while (place) place = gone(place);
  }

  // The next node with this name before one with a key: nodes without a key are matched by order.
  function alike(place, name) {
    while (place && !key(place) && place.nodeName !== name) place = place.nextSibling;
    return place && !key(place) ? place : null;
  }

  function gone(place) {
    const next = place.nextSibling;
    place.remove();
    return next;
  }

  const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id : "");

  // Reloads at most once a second, and never twice at the same time.
  let wanted = false;
  let busy = false;

  // A button must not move between the press and the release of a click.
  let held = false;
  addEventListener("pointerdown", () => { held = true; }, true);
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(() => { held = false; }), true);

  async function released() {
    for (let waits = 0; held && waits < 40; waits += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  async function refresh() {
    wanted = true;
    if (busy) return;
    busy = true;
    while (wanted) {
      wanted = false;
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
        if (answer.type === "opaqueredirect") return location.reload();
        const text = await answer.text();
        await released();
        const page = new DOMParser().parseFromString(text, "text/html");
        for (const name of stream ? ["header", "main"] : ["main"]) {
          const fresh = page.querySelector(name);
          if (fresh) become(document.querySelector(name), fresh);
        }
        if (stream) document.body.dataset.version = page.body.dataset.version;
        if (stream) listening();
        tick();
        dodge();
      } catch {
        if (stream) listening("not up to date: the daemon does not answer");
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    busy = false;
  }

  let source;

  function listening(trouble) {
    const on = !trouble && source && source.readyState === EventSource.OPEN;
    stream.textContent = trouble || (on ? "up to date" : "connecting");
    stream.dataset.on = on ? "yes" : "no";
  }

  function listen() {
    source = new EventSource(`/events?since=${encodeURIComponent(document.body.dataset.version)}`);
    source.addEventListener("open", () => listening());
    source.addEventListener("change", refresh);
    source.addEventListener("error", ({ target }) => {
      listening("not up to date: reconnecting");
      // A refused stream is not reopened by the browser: too many pages are open, or the session has ended.
      if (target.readyState === EventSource.CLOSED) setTimeout(() => target === source && (listen(), refresh()), 5000);
    });
  }

  // A hidden page closes its connection: a browser has six per site for all windows together.
  document.addEventListener("visibilitychange", () => {
    if (!stream) return;
    if (source) source.close();
    if (document.hidden) source = null;
    else listen();
  });

  // Buttons. The message is about the one pressed last.
  let pressed = 0;

  async function press(form) {
    pressed += 1;
    const button = form.querySelector("button");
    const place = form.closest("li") || form;
    const name = button.getAttribute("aria-label") || button.textContent;
    button.disabled = true;
    say("", "");
    try {
      const answer = await fetch(form.dataset.api, { method: "POST" });
      const content = await answer.json();
      if ("detail" in content) say(`${name}: ${ended(content)}`, answer.ok && content.ok !== false ? "good" : "bad", place);
      else {
        say(`${name}: done.`, "good", place);
        if (content.state === "pending") follow(name, content, place);
      }
    } catch {
      say("The daemon does not answer.", "bad", place);
    }
    button.disabled = false;
    button.focus();
    refresh();
  }

  // The result of an attempt, with the receiver's response.
  function ended({ detail, response }) {
    const words = (response || "").trim();
    if (!words) return detail;
    return `${detail} \u201c${words.length > 200 ? `${words.slice(0, 200)}\u2026` : words}\u201d`;
  }

  // After a requeue waits up to ten seconds for the attempt, and shows its result.
  async function follow(name, { id, tries }, place) {
    const before = tries.length;
    const turn = pressed;
    for (let looks = 0; looks < 20; looks += 1) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      if (turn !== pressed) return;
      try {
        const answer = await fetch(`/api/v1/deliveries/${encodeURIComponent(id)}`);
        if (!answer.ok) return;
        const now = await answer.json();
        if (turn === pressed && now.tries.length > before) {
          const last = now.tries[now.tries.length - 1];
          say(`${name}: ${ended(last)}`, last.ok ? "good" : "bad", place);
          return;
        }
      } catch {
        return;
      }
    }
  }

  let hiding;
  let spoken;

  // Shows a message about a part of the page.
  function say(words, tone, place) {
    clearTimeout(hiding);
    said.textContent = words;
    said.className = tone;
    spoken = words ? place : null;
    if (words) hiding = setTimeout(() => say("", ""), 15000);
    dodge();
  }

  // Keeps the message from covering the part it is about.
  function dodge() {
    if (spoken && !spoken.isConnected) spoken = document.querySelector(`[data-key="${CSS.escape(key(spoken))}"]`);
    if (!spoken) return;
    const { top, bottom } = spoken.getBoundingClientRect();
    said.dataset.at = top + bottom > innerHeight ? "top" : "bottom";
  }

  for (const moved of ["scroll", "resize"]) addEventListener(moved, dodge, { passive: true });
  new ResizeObserver(dodge).observe(document.body);

  document.addEventListener("submit", (event) => {
    if (event.target.dataset.api) {
      event.preventDefault();
      press(event.target);
    }
  });

  // A picture that cannot be loaded is hidden.
  document.addEventListener("error", (event) => {
    if (event.target.classList && event.target.classList.contains("avatar")) event.target.hidden = true;
  }, true);

  if (stream) listen();
  tick();
  setInterval(tick, 1000);
})();
