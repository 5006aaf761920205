// Keeps the page up to date: receives the parts that changed and touches only what differs in them.
// Without this script the page shows the same, as of the moment it was loaded.
"use strict";

const STALE_MS = 2500;
const AGAIN_MS = 2000;
const SELF_MS = 900;

const parts = document.body.dataset.parts;
const base = new URL("..", document.currentScript.src).pathname;
let source = null;
let madeAt = null; // by this machine's clock, since the other's may differ
let again = 0;

// Makes `old` equal to `fresh` and leaves alone what already is: focus, selection, scroll position
// and open details live in nodes that stay.
function morph(old, fresh) {
  if (old.isEqualNode(fresh) || old.hasAttribute("data-own")) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) {
      old.removeAttribute(name);
    }
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.localName !== "input") morphChildren(old, fresh);
}

function keyOf(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return null;
  return node.id || node.getAttribute("data-key") || (node.localName === "rect" ? node.getAttribute("x") : null);
}

function morphChildren(old, fresh) {
  const keyed = new Map();
  for (const child of old.childNodes) {
    const key = keyOf(child);
    if (key) keyed.set(key, child);
  }
  const wanted = new Set([...fresh.childNodes].map(keyOf).filter(Boolean));
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    while (at && keyOf(at) && !wanted.has(keyOf(at))) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    const key = keyOf(child);
    const same = key ? keyed.get(key) : at && !keyOf(at) && at.nodeName === child.nodeName ? at : null;
    if (!same || same.nodeName !== child.nodeName) {
      old.insertBefore(child, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    if (same.nodeType === Node.ELEMENT_NODE) morph(same, child);
    else if (same.nodeValue !== child.nodeValue) same.nodeValue = child.nodeValue;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

// Someone who selects text is reading it: the part is updated once the selection is cleared.
function isRead(element) {
  const selection = document.getSelection();
  return !selection.isCollapsed && element.contains(selection.anchorNode);
}

function put(fresh) {
  const old = fresh.id && document.getElementById(fresh.id);
  if (!old) return;
  if (fresh.id === "status") {
    madeAt = performance.now() - Number(fresh.dataset.age);
    document.body.classList.toggle("down", fresh.querySelector(".dot.bad") !== null);
  } else if (isRead(old)) {
    return;
  }
  if (fresh.dataset.title) document.title = fresh.dataset.title;
  morph(old, fresh);
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

function connect() {
  clearTimeout(again);
  if (source || document.hidden) return;
  source = new EventSource(base + "page/events?of=" + (parts || "status"));
  source.addEventListener("view", (event) => {
    const filtered = parts && filter && query();
    for (const element of [...parse(event.data).children]) {
      if (!(filtered && element.id === "jobs")) put(element);
    }
    sayAge();
    if (!parts) refreshSelf();
    else if (filtered) refreshJobs();
  });
  source.addEventListener("error", () => {
    // The browser retries by itself after a broken connection, but not after a refused one.
    if (source && source.readyState === EventSource.CLOSED) {
      disconnect();
      again = setTimeout(connect, AGAIN_MS);
    }
  });
}

function disconnect() {
  if (source) source.close();
  source = null;
}

function span(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return seconds.toFixed(1) + " s";
  if (seconds < 120) return Math.round(seconds) + " s";
  return Math.round(seconds / 60) + " min";
}

function sayAge() {
  const age = document.getElementById("age");
  const cut = document.getElementById("cut");
  if (!age || madeAt === null) return;
  const old = Math.max(0, performance.now() - madeAt);
  const stale = old > STALE_MS;
  const live = !stale && !document.body.classList.contains("down");
  age.textContent = (live ? "live, " : "") + span(old) + " old";
  document.body.classList.toggle("stale", stale);
  const isOpen = source && source.readyState === EventSource.OPEN;
  const text = isOpen
    ? "These numbers are " + span(old) + " old: the distributor is not producing newer ones."
    : "These numbers are " + span(old) + " old: the connection to the distributor is lost. Reconnecting.";
  if (cut.hidden !== !stale) cut.hidden = !stale;
  if (stale) cut.textContent = text;
}

// Pages with their own content: a job's, a worker's, the lists.
let asking = false;
let askedAt = 0;
async function refreshSelf(now) {
  if (asking || (!now && performance.now() - askedAt < SELF_MS)) return;
  asking = true;
  askedAt = performance.now();
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = document.querySelector("main");
    if (!isRead(main)) morphChildren(main, document.importNode(fresh.querySelector("main"), true));
    const foot = fresh.getElementById("foot");
    if (foot) put(document.importNode(foot, true));
  } catch {
    // The age shown on the page reveals it.
  } finally {
    asking = false;
  }
}

const filter = document.querySelector("form[data-filter]");

function query() {
  const query = new URLSearchParams(new FormData(filter));
  query.set("q", query.get("q").trim());
  if (!query.get("q")) query.delete("q");
  return query.toString();
}

let jobsAsked = 0;
let jobsShown = 0;
async function refreshJobs(now) {
  if (!now && performance.now() - askedAt < SELF_MS) return;
  askedAt = performance.now();
  const request = ++jobsAsked;
  try {
    const answer = await fetch(base + "page/jobs?" + query());
    if (!answer.ok || request < jobsShown) return;
    jobsShown = request;
    put(parse(await answer.text()).firstElementChild);
  } catch {
    // The age shown on the page reveals it.
  }
}

function refine() {
  const address = query() ? "?" + query() : "";
  history.replaceState(null, "", location.pathname + address + location.hash);
  if (parts) refreshJobs(true);
  else refreshSelf(true);
}

if (parts !== undefined) {
  document.documentElement.classList.add("scripted");
  const status = document.getElementById("status");
  madeAt = performance.now() - Number(status.dataset.age);
  if (filter) {
    filter.addEventListener("submit", (event) => {
      event.preventDefault();
      refine();
    });
    filter.addEventListener("input", refine);
  }
  // A hidden page needs no updates, and a browser allows few connections to one host.
  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  setInterval(sayAge, 250);
  sayAge();
  connect();
}
