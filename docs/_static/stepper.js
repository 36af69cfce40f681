// One update of lesson 07's network, step by step. The numbers at the start are TensorFlow's (docs/export_steps.py, as
// JSON in the page); `compute` takes over when the reader has changed one. Every text comes from docs/stepper.rst.
(() => {
  "use strict";
  const root = document.getElementById("stepper");
  const data = JSON.parse(document.getElementById("stepper-data").textContent);
  const texts = document.querySelector(".stepper-texts");
  const message = (key) => texts.querySelector(`.say-${key.toLowerCase().replace(/_/g, "-")}`); // as docutils names classes
  const say = (key, values = {}) => message(key).textContent.trim().replace(/{(\w+)}/g, (_, name) => values[name]);
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const UNITS = [0, 1, 2], INPUTS = [0, 1], LIMIT = 1000;

  // ---- The state: what the reader may change, and where he is -------------------------------------------------------
  let numbers = copy(data.numbers), changed = false, mode = "identity", position = 0;
  let values, steps, texted;

  // ---- Forward, backward, update: the lesson's equations, for one row ----------------------------------------------
  function forward({ x, y, w1, w2 }) {
    const z = UNITS.map((j) => x[0] * w1[0][j] + x[1] * w1[1][j]);
    const h = mode === "sigmoid" ? z.map((z) => 1 / (1 + Math.exp(-z))) : z;
    const y_hat = h[0] * w2[0] + h[1] * w2[1] + h[2] * w2[2];
    return { z, h, y_hat, L: (y_hat - y) ** 2 };
  }

  function compute(numbers) {
    const { x, y, w1, w2, learning_rate } = numbers, { z, h, y_hat, L } = forward(numbers);
    const dL_dy_hat = 2 * (y_hat - y);
    const dL_dh = w2.map((w) => dL_dy_hat * w);
    const dL_dz = mode === "sigmoid" ? dL_dh.map((d, j) => d * h[j] * (1 - h[j])) : dL_dh;
    const dL_dw1 = x.map((x) => dL_dz.map((d) => x * d));
    const dL_dw2 = h.map((h) => h * dL_dy_hat);
    const new_w1 = w1.map((row, i) => row.map((w, j) => w - learning_rate * dL_dw1[i][j]));
    const new_w2 = w2.map((w, j) => w - learning_rate * dL_dw2[j]);
    const new_L = forward({ x, y, w1: new_w1, w2: new_w2 }).L;
    return { z, h, y_hat, L, dL_dy_hat, dL_dh, dL_dz, dL_dw1, dL_dw2, new_w1, new_w2, new_L };
  }

  // ---- Numbers and symbols: x_{0} is x with an index, for the eye a subscript, for the ear x[0] ---------------------
  const digits = (value, precision) => String(+value.toPrecision(precision)).replace(/-/g, "\u2212");
  const short = (value) => // in the graph
    value && Math.abs(value) < 0.001 ? value.toExponential(1).replace(/-/g, "\u2212") : digits(value, 3);
  const num = (value) => digits(value, 6);
  const factor = (value) => (value < 0 ? `(${num(value)})` : num(value)); // as it stands behind a sign
  const spoken = (text) => text.replace(/_\{(.*?)\}/g, "[$1]").replace(/ - /g, " \u2212 ");
  const typeset = (text) => text.replace(/_\{(.*?)\}/g, "<sub>$1</sub>").replace(/ - /g, " \u2212 ");

  // ---- The steps ----------------------------------------------------------------------------------------------------
  // code: the symbol whose piece of code is marked; shows: what the graph knows from here on; now: what it highlights;
  // lines: [symbol, formula, numbers, value, kind], kind "local" or "product" on the way back.
  function listSteps() {
    const v = values, { x, y, w1, w2, learning_rate: rate } = numbers, sigmoid = mode === "sigmoid";
    const list = [{ phase: "start", text: "start", shows: ["x0", "x1", "y"],
      lines: [["x_{0}", "", "", x[0]], ["x_{1}", "", "", x[1]], ["y", "", "", y]], now: ["x0", "x1", "y"] }];
    const add = (phase, text, code, lines, shows, now) => list.push({ phase, text, code, lines, shows, now });
    const into = sigmoid ? "z" : "h"; // what the inputs add up to
    for (const j of UNITS)
      add("forward", "sum", into, [[`${into}_{${j}}`, `x_{0} w1_{0,${j}} + x_{1} w1_{1,${j}}`,
        `${num(x[0])} · ${factor(w1[0][j])} + ${factor(x[1])} · ${factor(w1[1][j])}`, v[into][j]]],
        [`${into}${j}`], [`h${j}`, `x0-h${j}`, `x1-h${j}`]);
    for (const j of sigmoid ? UNITS : [])
      add("forward", "sigmoid", "h", [[`h_{${j}}`, `σ(z_{${j}})`, `σ(${num(v.z[j])})`, v.h[j]]], [`h${j}`], [`h${j}`]);
    add("forward", "y_hat", "y_hat", [["ŷ", "h_{0} w2_{0} + h_{1} w2_{1} + h_{2} w2_{2}",
      UNITS.map((j) => `${j ? factor(v.h[j]) : num(v.h[j])} · ${factor(w2[j])}`).join(" + "), v.y_hat]],
      ["y_hat"], ["y_hat", ...UNITS.map((j) => `h${j}-y_hat`)]);
    add("forward", "L", "L", [["L", "(ŷ - y)²", `(${num(v.y_hat)} - ${factor(y)})²`, v.L]],
      ["L"], ["L", "y_hat-L", "y-L"]);

    add("backward", "dL_dy_hat", "dL_dy_hat",
      [["dL/dŷ", "2 (ŷ - y)", `2 · (${num(v.y_hat)} - ${factor(y)})`, v.dL_dy_hat, "local"]],
      ["L'", "y_hat'"], ["y_hat", "y_hat-L"]);
    // One product of the chain rule: dL/d`of` = dL/d`by` · d`by`/d`of`.
    const back = (text, of, by, above, formula, local, value, shows, now, inNumbers = "") => add("backward", text, text, [
      [`d${by}/d${of}`, formula, inNumbers, local, "local"],
      [`dL/d${of}`, `dL/d${by} · d${by}/d${of}`, `${num(above)} · ${factor(local)}`, value, "product"]], [shows], now);
    for (const j of UNITS)
      back("dL_dh", `h_{${j}}`, "ŷ", v.dL_dy_hat, `w2_{${j}}`, w2[j], v.dL_dh[j], `h${j}'`, [`h${j}`, `h${j}-y_hat`]);
    for (const j of sigmoid ? UNITS : [])
      back("dL_dz", `z_{${j}}`, `h_{${j}}`, v.dL_dh[j], `h_{${j}} (1 - h_{${j}})`, v.h[j] * (1 - v.h[j]), v.dL_dz[j],
        `z${j}'`, [`h${j}`], `${num(v.h[j])} · (1 - ${num(v.h[j])})`);
    for (const i of INPUTS)
      for (const j of UNITS)
        back("dL_dw1", `w1_{${i},${j}}`, `${into}_{${j}}`, (sigmoid ? v.dL_dz : v.dL_dh)[j], `x_{${i}}`, x[i],
          v.dL_dw1[i][j], `x${i}-h${j}'`, [`x${i}`, `x${i}-h${j}`]);
    for (const j of UNITS)
      back("dL_dw2", `w2_{${j}}`, "ŷ", v.dL_dy_hat, `h_{${j}}`, v.h[j], v.dL_dw2[j], `h${j}-y_hat'`,
        [`h${j}`, `h${j}-y_hat`]);

    const general = (name) => [`new ${name}`, `${name} - rate · dL/d${name}`];
    const move = (name, w, gradient, value) =>
      [`new ${name}`, "", `${num(w)} - ${factor(rate)} · ${factor(gradient)}`, value];
    const edges1 = INPUTS.flatMap((i) => UNITS.map((j) => `x${i}-h${j}`)), edges2 = UNITS.map((j) => `h${j}-y_hat`);
    add("update", "new_w1", "new_w", [general("w1"), ...INPUTS.flatMap((i) => UNITS.map((j) =>
      move(`w1_{${i},${j}}`, w1[i][j], v.dL_dw1[i][j], v.new_w1[i][j])))], edges1.map((e) => `${e}*`), edges1);
    add("update", "new_w2", "new_w", [general("w2"), ...UNITS.map((j) =>
      move(`w2_{${j}}`, w2[j], v.dL_dw2[j], v.new_w2[j]))], edges2.map((e) => `${e}*`), edges2);
    add("update", "new_L", "L", [["L", "", "", v.L], ["new L", "", "", v.new_L]], ["L*"], ["L"]);
    return list;
  }

  // ---- Building the page --------------------------------------------------------------------------------------------
  function make(name, attributes = {}, ...children) {
    const node = SVG.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
      key.startsWith("on") ? node.addEventListener(key.slice(2), value) : node.setAttribute(key, value);
    node.append(...children);
    return node;
  }
  const SVG = new Set(["svg", "g", "line", "rect", "text", "tspan", "title", "desc"]);
  const part = {}; // the elements that `render` changes

  // The places in the graph, in units of its viewBox; every line runs downward.
  const PLACE = { x0: [90, 30], x1: [330, 30], h0: [62, 225], h1: [210, 225], h2: [358, 225], y_hat: [210, 400],
    y: [340, 400], L: [210, 505] };
  const EDGES = [...INPUTS.flatMap((i) => UNITS.map((j) => [`x${i}`, `h${j}`])), ...UNITS.map((j) => [`h${j}`, "y_hat"]),
    ["y_hat", "L"], ["y", "L"]];
  const weightOf = (from, to) => (from[0] === "x" ? numbers.w1[from[1]][to[1]] : numbers.w2[from[1]]);

  function build() {
    const button = (key, onclick, attributes = {}) => make("button", { type: "button", onclick, ...attributes }, say(key));
    part.back = button("back", () => go(position - 1), { class: "back" });
    part.next = button("next", () => go(position + 1), { class: "next" });
    part.progress = make("span", { class: "count" });
    part.phases = ["start", "forward", "backward", "update"].map((phase) =>
      button(phase, () => go(steps.findIndex((step) => step.phase === phase)), { "data-phase": phase }));
    part.sigmoid = make("input", { type: "checkbox", role: "switch", id: "stepper-sigmoid", onchange: switchMode });
    part.graph = make("div");
    part.formulas = make("div", { class: "formulas" });
    part.text = make("p", { class: "text" });
    part.caption = make("p", { class: "caption" });
    part.status = make("div", { role: "status", "aria-live": "polite", "aria-atomic": "true" });
    part.invalid = make("p", { class: "invalid", role: "alert" });
    const code = [...root.querySelectorAll(".stepper-code")];
    for (const block of code) block.querySelector("pre").tabIndex = 0; // scrolled sideways by keyboard too
    root.append(
      make("div", { class: "bar" }, part.back, part.next, part.progress, make("div", { class: "phases" }, ...part.phases)),
      make("div", { class: "bar" }, make("label", { class: "switch", for: "stepper-sigmoid" }, part.sigmoid, say("switch"))),
      make("div", { class: "stage" },
        make("div", {}, part.graph, make("p", { class: "legend" },
          ...["forward", "backward", "update"].map((phase) => make("span", { class: phase }, say(`legend-${phase}`))))),
        make("section", {}, part.formulas, part.text, part.caption, ...code)), // no div: no copy button for an excerpt
      make("fieldset", {}, make("legend", {}, say("numbers")), make("div", { class: "numbers-form" }, ...fields(),
        button("reset", reset, { class: "reset" })), part.invalid),
      part.status);
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", say("name"));
    document.addEventListener("keydown", onKey);
    root.hidden = false;
    texts.hidden = true;
  }

  function fields() {
    const paths = [["x", 0], ["x", 1], ["y"], ...INPUTS.flatMap((i) => UNITS.map((j) => ["w1", i, j])),
      ...UNITS.map((j) => ["w2", j]), ["learning_rate"]];
    part.inputs = paths.map(([name, ...index]) => {
      const id = `stepper-${[name, ...index].join("-")}`, symbol = index.length ? `${name}_{${index}}` : name;
      const label = make("label", { for: id });
      label.innerHTML = name === "learning_rate" ? say("rate") : typeset(symbol);
      const input = make("input", { type: "number", step: "any", min: -LIMIT, max: LIMIT, id, oninput: () => read(input) });
      Object.assign(input, { path: [name, ...index], spoken: name === "learning_rate" ? say("rate") : spoken(symbol) });
      input.setAttribute("aria-label", input.spoken);
      return make("div", { class: "field" }, label, input);
    });
    return part.inputs;
  }

  const inputs = () => part.inputs.map((field) => field.lastChild);

  function write() { // the numbers into the fields
    for (const input of inputs()) {
      input.value = +input.path.reduce((value, key) => value[key], numbers).toPrecision(7);
      input.removeAttribute("aria-invalid");
    }
    part.invalid.textContent = "";
  }

  function read(input) { // a field into the numbers
    const value = input.valueAsNumber, wrong = !(Math.abs(value) <= LIMIT);
    input.toggleAttribute("aria-invalid", wrong);
    if (wrong) input.setAttribute("aria-invalid", "true");
    part.invalid.textContent = wrong ? say("invalid", { name: input.spoken }) : "";
    if (wrong) return;
    const last = input.path.at(-1);
    input.path.slice(0, -1).reduce((value, key) => value[key], numbers)[last] = value;
    changed = true;
    refresh();
  }

  function reset() {
    numbers = copy(data.numbers);
    changed = false;
    write();
    refresh();
  }

  function switchMode() {
    const { phase } = steps[position];
    mode = part.sigmoid.checked ? "sigmoid" : "identity";
    refresh();
    go(steps.findIndex((step) => step.phase === phase));
  }

  function onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest("input, textarea, select, pre, [contenteditable]")) return;
    const to = { ArrowRight: position + 1, ArrowLeft: position - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  }

  // ---- Drawing ------------------------------------------------------------------------------------------------------
  function refresh() {
    values = changed ? compute(numbers) : data[mode].values;
    steps = listSteps();
    go(position);
  }

  function go(to) {
    position = Math.min(Math.max(to, 0), steps.length - 1);
    render();
  }

  function render() {
    const step = steps[position], known = new Set(steps.slice(0, position + 1).flatMap((s) => s.shows));
    root.dataset.phase = step.phase;
    root.dataset.step = position;
    part.back.setAttribute("aria-disabled", position === 0);
    part.next.setAttribute("aria-disabled", position === steps.length - 1);
    part.progress.textContent = say("progress", { k: position + 1, n: steps.length });
    for (const button of part.phases)
      button.setAttribute("aria-current", button.dataset.phase === step.phase ? "step" : "false");
    drawGraph(known, new Set(step.now));
    part.formulas.replaceChildren(...step.lines.map(([symbol, formula, inNumbers, value, kind]) => {
      const line = make("p"), terms = [symbol, formula, inNumbers].filter(Boolean).map(typeset);
      if (value !== undefined) terms.push(`<data value="${value}" data-symbol="${spoken(symbol)}">${num(value)}</data>`);
      line.innerHTML = (kind ? `<small>${say(kind)}</small>` : "") + `<span>${terms.join(" = ")}</span>`;
      return line;
    }));
    part.text.innerHTML = message(`step-${step.text}`).firstElementChild.innerHTML;
    markCode(step.code);
    const heard = step.lines.map(([symbol, formula, , value]) =>
      [symbol, formula, value === undefined ? "" : num(value)].filter(Boolean).join(" = "));
    const place = [part.progress.textContent, say(step.phase)];
    part.status.textContent = [...place, ...heard.map(spoken), part.text.textContent].join(". ");
  }

  function markCode(symbol) {
    for (const block of root.querySelectorAll(".stepper-code")) block.hidden = block.dataset.mode !== mode;
    const block = root.querySelector(`.stepper-code[data-mode="${mode}"]`), pre = block.querySelector("pre");
    for (const node of root.querySelectorAll(".stepper-code .now")) node.classList.remove("now");
    const pieces = [...block.querySelectorAll("[data-of]")].filter((node) => node.dataset.of.split(" ").includes(symbol));
    for (const piece of pieces) [piece, piece.closest(".line")].forEach((node) => node.classList.add("now"));
    const { file } = symbol === "new_w" ? data.identity : data[mode]; // the update is the lesson's in both
    part.caption.textContent = pieces.length ? say("code", { file, line: pieces[0].closest(".line").dataset.line }) : "";
    pre.scrollLeft = 0;
  }

  function drawGraph(known, now) {
    const svg = make("svg", { viewBox: "0 0 420 530", role: "img", "aria-labelledby": "stepper-graph" },
      make("title", { id: "stepper-graph" }, say("graph")));
    const labels = [];
    for (const [from, to] of EDGES) {
      const id = `${from}-${to}`, [x1, y1] = PLACE[from], [x2, y2] = PLACE[to], state = now.has(id) ? " now" : "";
      svg.append(make("line", { class: `edge${state}`, x1, y1, x2, y2, "data-id": id }));
      if (to === "L") continue;
      const near = from[0] === "h" ? 0.45 : to === "h1" ? 0.45 : from[1] * 2 === +to[1] ? 0.68 : 0.2; // no two meet
      const at = { x: x1 + near * (x2 - x1), y: y1 + near * (y2 - y1) };
      const label = make("text", { class: `weight${state}`, ...at, "data-id": id });
      const old = weightOf(from, to), [name, i, j] = from[0] === "x" ? ["w1", from[1], to[1]] : ["w2", from[1]];
      const gradient = name === "w1" ? values.dL_dw1[i][j] : values.dL_dw2[i];
      const updated = name === "w1" ? values.new_w1[i][j] : values.new_w2[i];
      const moved = known.has(`${id}*`);
      label.append(make("tspan", { class: moved ? "update" : "" }, short(moved ? updated : old)));
      if (known.has(`${id}'`)) label.append(make("tspan", { class: "backward", x: at.x, dy: 15 }, `↑ ${short(gradient)}`));
      labels.push(label);
    }
    const rows = { // what stands in each box: [symbol, value, known, derivative, derivative known]
      x0: [["x_{0}", numbers.x[0]]], x1: [["x_{1}", numbers.x[1]]], y: [["y", numbers.y]],
      y_hat: [["ŷ", values.y_hat, values.dL_dy_hat]], L: [["L", known.has("L*") ? values.new_L : values.L]] };
    for (const j of UNITS) {
      rows[`h${j}`] = [[`h_{${j}}`, values.h[j], values.dL_dh[j]]];
      if (mode === "sigmoid") rows[`h${j}`].unshift([`z_{${j}}`, values.z[j], values.dL_dz[j]]);
    }
    for (const [id, lines] of Object.entries(rows)) {
      const [x, y] = PLACE[id], height = lines.length * (lines[0].length === 3 ? 36 : 22) + 8;
      const node = make("g", { class: `node${now.has(id) ? " now" : ""}${known.has(id) ? " known" : ""}`, "data-id": id },
        make("rect", { x: x - 56, y: y - height / 2, width: 112, height, rx: 8 }));
      lines.forEach(([symbol, value, derivative], row) => {
        const key = symbol[0] === "z" || symbol[0] === "h" ? symbol[0] + id[1] : id;
        const top = y - height / 2 + 20 + 36 * row, shown = known.has(key) ? ` = ${digits(value, 4)}` : "";
        const [base, index] = symbol.split(/_\{|\}/);
        const line = make("text", { x, y: top }, base);
        if (index) line.append(make("tspan", { dy: 3, "font-size": "10" }, index), make("tspan", { dy: -3 }, "\u200b"));
        line.append(make("tspan", { class: known.has("L*") && id === "L" ? "update" : "forward" }, shown));
        node.append(line);
        if (known.has(`${key}'`) && derivative !== undefined)
          node.append(make("text", { class: "backward", x, y: top + 16 }, `↑ ${short(derivative)}`));
      });
      svg.append(node);
    }
    svg.append(...labels);
    part.graph.replaceChildren(svg);
  }

  build();
  write();
  refresh();
})();
