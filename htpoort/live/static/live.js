"use strict";

// The page works without this file: then it is reloaded by hand. With it, what changed is fetched and put in place.
(() => {
  const PAUSE = 300; // milliseconds between two fetches, at least
  const STALE = 30000; // milliseconds after which times such as "in 3 hours" are fetched anew
  const status = document.getElementById("status");
  let source = null;
  let isFetching = false;
  let isWaiting = false;
  let ahead = 0; // of the gateway's clock, in milliseconds

  function report(text, isLive) {
    if (status.textContent !== text) {
      status.textContent = text;
    }
    status.classList.toggle("is-live", isLive);
  }

  // Children with an id stay as they are if nothing in them changed, so that focus and scroll position stay too.
  function merge(old, fresh) {
    const known = new Map([...old.children].filter((one) => one.id).map((one) => [one.id, one]));
    let here = old.firstElementChild;
    for (const child of [...fresh.children]) {
      const mine = known.get(child.id);
      const keep = mine && mine.outerHTML === child.outerHTML;
      if (keep && mine === here) {
        here = here.nextElementSibling;
      } else {
        old.insertBefore(keep ? mine : document.adoptNode(child), here);
      }
    }
    while (here) {
      const next = here.nextElementSibling;
      here.remove();
      here = next;
    }
  }

  async function refresh() {
    if (isFetching) {
      isWaiting = true;
      return;
    }
    isFetching = true;
    try {
      const response = await fetch(location.href, { cache: "no-store" });
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      for (const old of document.querySelectorAll("[data-live]")) {
        const part = fresh.getElementById(old.id);
        // A person who is filling in a form is not interrupted.
        if (part && part.outerHTML !== old.outerHTML && !old.querySelector("input:focus, select:focus")) {
          merge(old, part);
        }
      }
      setClock(fresh.getElementById("clock"));
    } catch {
      report("The simulator has stopped.", false);
    }
    setTimeout(() => {
      isFetching = false;
      if (isWaiting) {
        isWaiting = false;
        refresh();
      }
    }, PAUSE);
  }

  function setClock(fresh) {
    const clock = document.getElementById("clock");
    if (fresh) {
      clock.dateTime = fresh.dateTime;
      clock.dataset.runs = fresh.dataset.runs;
      clock.dataset.offset = fresh.dataset.offset;
    }
    ahead = Date.parse(clock.dateTime) - Date.now();
    tick();
  }

  function tick() {
    const clock = document.getElementById("clock");
    const now = clock.dataset.runs === "true" ? Date.now() + ahead : Date.parse(clock.dateTime);
    const local = new Date(now + Number(clock.dataset.offset) * 1000).toISOString();
    clock.textContent = `${local.slice(0, 10)} ${local.slice(11, 19)}`;
  }

  function listen() {
    if (source || document.hidden) {
      return;
    }
    source = new EventSource(`/events?since=${document.body.dataset.version}`);
    source.addEventListener("open", () => report("Live", true));
    source.addEventListener("change", (event) => {
      document.body.dataset.version = event.data;
      refresh();
    });
    source.addEventListener("error", () => report("Not connected; what is new appears when the simulator is back.", false));
  }

  // A browser has six connections to one place: hidden pages give theirs back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && source) {
      source.close();
      source = null;
    } else {
      listen();
    }
  });

  document.querySelector(".is-current")?.scrollIntoView({ block: "nearest" });
  setClock(null);
  setInterval(tick, 1000);
  setInterval(() => document.hidden || refresh(), STALE);
  listen();
})();
