// Runs docs/_static/stepper.js without a browser: as much of a document as it asks for. Reads cases from standard input,
// {script, texts, data, cases: [{mode, fields}]}, and writes what a reader sees at each step of each case.
"use strict";

class Node {
  constructor(name) {
    Object.assign(this, { name, attributes: {}, children: [], listeners: {}, dataset: {}, html: null, hidden: false });
    this.classList = { add() {}, remove() {} };
  }
  append(...nodes) { this.children.push(...nodes); }
  replaceChildren(...nodes) { this.children = nodes; this.html = null; }
  setAttribute(key, value) {
    this.attributes[key] = String(value);
    if (key.startsWith("data-")) this.dataset[key.slice(5)] = String(value);
  }
  getAttribute(key) { return this.attributes[key]; }
  removeAttribute(key) { delete this.attributes[key]; }
  toggleAttribute(key, on) { on ? this.setAttribute(key, "") : this.removeAttribute(key); }
  addEventListener(kind, listener) { this.listeners[kind] = listener; }
  fire(kind) { this.listeners[kind]({ target: this, preventDefault() {} }); }
  get lastChild() { return this.children.at(-1); }
  get innerHTML() { return this.html ?? this.textContent; }
  set innerHTML(html) { this.html = html; this.children = []; }
  get textContent() {
    if (this.html !== null) return this.html.replace(/<.*?>/g, "");
    return this.children.map((child) => (child instanceof Node ? child.textContent : child)).join("");
  }
  set textContent(text) { this.html = null; this.children = [text]; }
  get valueAsNumber() { return this.value === "" ? NaN : Number(this.value); }
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

function run({ script, texts, data }, { mode, fields }) {
  const root = new Node("div"), store = new Node("script"), said = new Node("div");
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
  const document = new Node("document");
  document.getElementById = (id) => ({ stepper: root, "stepper-data": store })[id];
  document.querySelector = () => said;
  document.createElement = (name) => new Node(name);
  document.createElementNS = (_, name) => new Node(name);
  new Function("document", script)(document);

  const find = (test) => root.all().find(test), named = (name) => find((node) => node.attributes.class === name);
  if (mode === "sigmoid") {
    const box = find((node) => node.attributes.id === "stepper-sigmoid");
    box.checked = true;
    box.fire("change");
  }
  for (const [id, value] of Object.entries(fields)) {
    const input = find((node) => node.attributes.id === `stepper-${id}`);
    input.value = String(value);
    input.fire("input");
  }
  const state = () => ({
    step: +root.dataset.step,
    phase: root.dataset.phase,
    lines: named("formulas").children.map((line) => line.innerHTML),
    text: named("text").innerHTML,
    caption: named("caption").textContent,
    status: find((node) => node.attributes.role === "status").textContent,
    graph: root.all().filter((node) => /^(weight|node)/.test(node.attributes.class)).map((node) => ({
      id: node.dataset.id, now: / now/.test(node.attributes.class),
      texts: node.all().filter((each) => each.name === "text").map((each) => each.textContent),
      spans: node.all().filter((each) => each.name === "tspan").map((each) => [each.attributes.class, each.textContent]),
      back: node.all().filter((each) => each.attributes.class === "backward").map((each) => each.textContent),
    })),
    fields: Object.fromEntries(root.all().filter((node) => node.name === "input" && node.path)
      .map((node) => [node.attributes.id.replace("stepper-", ""), node.value])),
  });
  named("phases").children[0].fire("click");
  const states = [state()];
  while (named("next").attributes["aria-disabled"] !== "true") {
    named("next").fire("click");
    states.push(state());
  }
  return states;
}

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", () => {
  const given = JSON.parse(Buffer.concat(chunks).toString("utf-8"));
  process.stdout.write(JSON.stringify(given.cases.map((each) => run(given, each))));
});
