// Runs docs/_static/stepper.js without a browser: as much of a document as it asks for. Reads cases from standard input,
// {script, texts, data, cases: [{mode, units, fields, updates}]}, and writes what a reader sees at each step of each case.
"use strict";

class Node {
  constructor(name) {
    Object.assign(this, { name, attributes: {}, children: [], listeners: {}, dataset: {}, html: null, hidden: false });
    const classes = this.classes = new Set();
    this.classList = { add() {}, remove() {}, toggle: (one, on) => (on ? classes.add(one) : classes.delete(one)) };
  }
  append(...nodes) { this.children.push(...nodes); }
  replaceChildren(...nodes) { this.children = nodes; this.html = null; }
  setAttribute(key, value) {
    this.attributes[key] = String(value);
    if (key.startsWith("data-")) this.dataset[key.slice(5)] = String(value);
  }
  addEventListener(kind, listener) { this.listeners[kind] = listener; }
  fire(kind, event = {}) { this.listeners[kind]({ target: this, preventDefault() {}, ...event }); }
  select() {}
  get innerHTML() { return this.html ?? this.textContent; }
  set innerHTML(html) { this.html = html; this.children = []; }
  get textContent() {
    if (this.html !== null) return this.html.replace(/<.*?>/g, "");
    return this.children.map((child) => (child instanceof Node ? child.textContent : child)).join("");
  }
  set textContent(text) { this.html = null; this.children = text === "" ? [] : [text]; }
  all() { return [this, ...this.children.filter((child) => child instanceof Node).flatMap((child) => child.all())]; }
  querySelectorAll() { return []; }
}

// The lines of code of one mode: its marked tokens, each with the symbols that it is part of.
function codeOf(mode, html) {
  const block = new Node("div"), pre = new Node("pre");
  block.setAttribute("data-mode", mode);
  block.pieces = html.split('<span class="line"').slice(1).flatMap((line) => {
    const holder = new Node("span");
    holder.setAttribute("data-line", line.match(/data-line="(\d+)"/)[1]);
    return [...line.matchAll(/data-of="(.*?)"/g)].map(([, symbols]) => {
      const piece = new Node("span");
      piece.setAttribute("data-of", symbols);
      piece.closest = () => holder;
      return piece;
    });
  });
  block.querySelector = () => pre;
  block.querySelectorAll = () => block.pieces;
  return block;
}

function run({ script, texts, data }, { mode, units, fields, updates }) {
  const root = new Node("div"), store = new Node("script"), said = new Node("div"), window = new Node("window");
  const blocks = ["identity", "sigmoid"].map((each) => codeOf(each, data[each].code));
  root.querySelectorAll = (selector) => (selector === ".stepper-code" ? blocks : []);
  root.querySelector = (selector) => blocks.find((block) => selector.includes(`"${block.dataset.mode}"`));
  store.textContent = JSON.stringify(data);
  said.querySelector = (selector) => {
    const message = new Node("div"), paragraph = new Node("p");
    paragraph.textContent = texts[selector.replace(".say-", "")];
    message.append(paragraph);
    message.firstElementChild = paragraph;
    return message;
  };
  const document = new Node("document"), location = { hash: "" };
  document.getElementById = (id) => ({ stepper: root, "stepper-data": store })[id];
  document.querySelector = () => said;
  document.createElement = (name) => new Node(name);
  document.createElementNS = (_, name) => new Node(name);
  const history = { replaceState: (_state, _title, address) => (location.hash = address) };
  new Function("document", "window", "location", "history", script)(document, window, location, history);

  const all = (test) => root.all().filter(test);
  const named = (name) => all((node) => node.attributes.class === name)[0];
  const field = (id) => all((node) => node.attributes.id === `stepper-${id}`)[0];
  for (const id of [...(mode === "sigmoid" ? ["sigmoid"] : []), ...(units ? ["units"] : [])]) {
    field(id).checked = true;
    field(id).fire("change");
  }
  for (const [id, value] of Object.entries(fields)) {
    field(id).value = String(value);
    field(id).fire("change");
  }
  const invalid = named("invalid").textContent;
  const lines = (node) => node.children.map((line) => line.innerHTML);
  const state = () => ({
    step: +root.dataset.step,
    phase: root.dataset.phase,
    address: location.hash,
    lines: lines(named("formulas")),
    text: named("text").innerHTML,
    caption: named("caption").textContent,
    status: all((node) => node.attributes.role === "status")[0].textContent,
    invalid,
    graph: all((node) => node.attributes.class === "entry" && !node.hidden).map((node) => {
      const [name, value, back] = node.children, typed = value.name === "input";
      const text = typed ? value.value : value.textContent.replace(" = ", "");
      return { symbol: name.innerHTML, text, back: back.textContent, updated: node.classes.has("update") };
    }),
    edges: Object.fromEntries(all((node) => /^edge/.test(node.attributes.class)).map((node) => [node.dataset.id,
      { kind: node.attributes.class, width: +node.children[0].attributes["stroke-width"], ends: node.children[0].attributes.d }])),
    curve: named("curve").all().filter((node) => node.name === "circle").map((node) => +node.attributes.cy),
    curveLabels: named("curve").all().filter((node) => node.name === "text").map((node) => node.textContent),
    trained: named("panel train").all().at(-1).textContent,
  });
  const click = (name) => named(name).fire("click");
  if (updates) click("ten"); // ten updates at once, and the others one by one
  for (let update = 10; update < updates; update++) click("again");
  named("phases").children[0].fire("click");
  const states = [state()];
  while (named("next").attributes["aria-disabled"] !== "true") {
    click("next");
    states.push(state());
  }
  const nudged = [...field("weight").all().filter((node) => node.name === "option")].map((option) => {
    field("weight").value = option.attributes.value;
    named("panel nudge").children[2].fire("click");
    return lines(all((node) => node.name === "output")[0]);
  });
  return { states, nudged };
}

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", () => {
  const given = JSON.parse(Buffer.concat(chunks).toString("utf-8"));
  process.stdout.write(JSON.stringify(given.cases.map((each) => run(given, each))));
});
