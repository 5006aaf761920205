// What somebody would miss who reads this page by ear, by keyboard, or with weak eyes: a text for each fault.
const faults = [];
const say = (what, node) => faults.push(`${what}: ${(node.outerHTML ?? node.textContent).slice(0, 160)}`);
const all = (selector) => [...document.querySelectorAll(selector)];
const isShown = (element) => element.getClientRects().length > 0 && !element.closest("[aria-hidden=true]");
const nameOf = (element) => {
  const labelled = element.getAttribute("aria-labelledby");
  const by = labelled ? document.getElementById(labelled)?.textContent : null;
  const label = [...(element.labels ?? [])].map((label) => label.textContent).join(" ");
  return (by ?? element.getAttribute("aria-label") ?? (label || element.textContent)).trim();
};

for (const landmark of ["body > header", "main", "h1"]) {
  if (all(landmark).length !== 1) faults.push(`${all(landmark).length} of ${landmark}`);
}
if (!document.documentElement.lang || !document.title) faults.push("no language or no title");
let level = 0;
for (const heading of all("h1, h2, h3, h4")) {
  const next = Number(heading.localName[1]);
  if (next > level + 1) say("a level of headings is left out", heading);
  level = next;
}
for (const named of all("a[href], button, input, select, progress, nav, section, [role=img]")) {
  if (!nameOf(named)) say("it has no name", named);
}
for (const picture of all("svg")) {
  const isNamed = picture.closest("[role=img], [aria-hidden=true]");
  if (!isNamed && !picture.querySelector("text")) say("a picture has no name", picture);
}
for (const image of all("[role=img] a[href]:not([tabindex='-1'])")) say("a link is hidden in a picture", image);
for (const cell of all("thead th:not([scope]), tbody th:not([scope])")) say("whose head is it", cell);
const ids = all("[id]").map((element) => element.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`id ${id} is there twice`);

// Contrast, by WCAG 2: the colours as they are drawn, over what lies behind them.
const colour = (text) => {
  const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
  return [red, green, blue, alpha];
};
const over = ([red, green, blue, alpha], below) =>
  [red, green, blue].map((part, at) => part * alpha + below[at] * (1 - alpha)).concat(1);
const behind = (element) => {
  if (!element) return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
  const own = colour(getComputedStyle(element).backgroundColor);
  return own[3] === 1 ? own : over(own, behind(element.parentElement));
};
const light = (rgb) => {
  const [red, green, blue] = rgb.slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !isShown(element) || element.closest(".unseen, title, script")) continue;
  const style = getComputedStyle(element);
  const ground = behind(element);
  const ink = colour(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
  for (let at = element; at; at = at.parentElement) ink[3] *= Number(getComputedStyle(at).opacity);
  const [one, two] = [light(over(ink, ground)), light(ground)].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (two + 0.05);
  if (ratio < 4.5) say(`contrast ${ratio.toFixed(2)}`, element);
}
return [...new Set(faults)];
