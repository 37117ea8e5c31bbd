// Keeps the page up to date, and lets its buttons work without leaving it. Everything works without this as well.
"use strict";

(() => {
  const stream = document.getElementById("stream");
  const said = document.getElementById("said");
  if (!said) return;

  // Times, as people say them.
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

  // Makes one element like another, and keeps what is the same: the focus, what is unfolded, what is being typed.
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

  // The next node of this name before one that has a key: nodes without a key are known by their order alone.
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

  // Looks again, at most once in a second, and never twice at the same time.
  let wanted = false;
  let busy = false;

  // A click needs its button to stay where it is between the press and the release.
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
      // A refusal ends it: too many pages are open, or the session is over.
      if (target.readyState === EventSource.CLOSED) setTimeout(() => target === source && (listen(), refresh()), 5000);
    });
  }

  // A hidden page needs no connection, of which a browser has six for all its windows together.
  document.addEventListener("visibilitychange", () => {
    if (!stream) return;
    if (source) source.close();
    if (document.hidden) source = null;
    else listen();
  });

  // Buttons. What was pressed last is what is spoken of.
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

  // How an attempt ended, with the receiver's own words.
  function ended({ detail, response }) {
    const words = (response || "").trim();
    if (!words) return detail;
    return `${detail} \u201c${words.length > 200 ? `${words.slice(0, 200)}\u2026` : words}\u201d`;
  }

  // What is sent again is sent in a moment: says how that ended, unless it takes long.
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

  // Says something about a part of the page.
  function say(words, tone, place) {
    clearTimeout(hiding);
    said.textContent = words;
    said.className = tone;
    spoken = words ? place : null;
    if (words) hiding = setTimeout(() => say("", ""), 15000);
    dodge();
  }

  // Keeps what is said from covering what it is about, wherever that is on the screen.
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

  // A picture that cannot be had makes room for a letter.
  document.addEventListener("error", (event) => {
    if (event.target.classList && event.target.classList.contains("avatar")) event.target.hidden = true;
  }, true);

  if (stream) listen();
  tick();
  setInterval(tick, 1000);
})();
