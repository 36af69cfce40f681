// One update of a small network, step by step, and training, which repeats it. The numbers at the start are TensorFlow's
// (docs/export_steps.py, as JSON in the page), and `compute` gives all others. Every text comes from docs/stepper.rst.
(() => {
  "use strict";
  const root = document.getElementById("stepper");
  const data = JSON.parse(document.getElementById("stepper-data").textContent);
  const texts = document.querySelector(".stepper-texts");
  const message = (key) => texts.querySelector(`.say-${key.toLowerCase().replace(/_/g, "-")}`); // as docutils names classes
  const say = (key, values = {}) => message(key).textContent.trim().replace(/{(\w+)}/g, (_, name) => values[name]);
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const INPUTS = [0, 1], UNITS = [0, 1, 2], LIMIT = 1000, NUDGE = 0.01;

  // ---- The state: what the reader may change, and where he is -------------------------------------------------------
  let mode = "identity", unitByUnit = false, position = 0;
  let numbers = copy(data[mode].numbers), edited = false; // edited: the row or the weights are the reader's own
  let begun = copy(numbers), losses = []; // where training began, and the loss before each of its finished updates
  let values, steps; // both follow from the state: see `refresh`

  // ---- Forward, backward, update: the lesson's equations, for one row -----------------------------------------------
  function forward({ x, y, w1, w2 }) {
    const z = UNITS.map((j) => x[0] * w1[0][j] + x[1] * w1[1][j]);
    const h = mode === "sigmoid" ? z.map((z) => 1 / (1 + Math.exp(-z))) : z;
    const y_hat = h[0] * w2[0] + h[1] * w2[1] + h[2] * w2[2];
    return { z, h, y_hat, L: (y_hat - y) ** 2 };
  }

  function compute({ x, y, w1, w2, learning_rate }) {
    const { z, h, y_hat, L } = forward({ x, y, w1, w2 });
    const dL_dy_hat = 2 * (y_hat - y);
    const dL_dw2 = h.map((h) => dL_dy_hat * h);
    const dL_dh = w2.map((w) => dL_dy_hat * w);
    const dL_dz = mode === "sigmoid" ? dL_dh.map((d, j) => d * h[j] * (1 - h[j])) : dL_dh;
    const dL_dw1 = x.map((x) => dL_dz.map((d) => d * x));
    const new_w1 = w1.map((row, i) => row.map((w, j) => w - learning_rate * dL_dw1[i][j]));
    const new_w2 = w2.map((w, j) => w - learning_rate * dL_dw2[j]);
    const { z: new_z, h: new_h, y_hat: new_y_hat, L: new_L } = forward({ x, y, w1: new_w1, w2: new_w2 });
    return { z, h, y_hat, L, dL_dy_hat, dL_dw2, dL_dh, dL_dz, dL_dw1, new_w1, new_w2, new_z, new_h, new_y_hat, new_L };
  }

  function nextUpdate() { // the new weights become the weights
    losses.push(values.L);
    [numbers.w1, numbers.w2] = copy([values.new_w1, values.new_w2]);
    values = compute(numbers);
  }

  // ---- Numbers and symbols: x_{0} is x with an index, for the eye a subscript, for the ear x[0] ---------------------
  function num(value, precision = 4) {
    const size = Math.abs(value), plain = Number.isFinite(value) && (size === 0 || (size >= 0.001 && size < 1e5));
    const text = plain ? String(+value.toPrecision(precision)) : value.toExponential(2).replace("Infinity", "∞");
    return text.replace(/-/g, "\u2212");
  }
  const factor = (value) => (value < 0 ? `(${num(value)})` : num(value)); // as it stands behind a sign
  const minus = (text) => text.replace(/ - /g, " \u2212 ");
  const spoken = (text) => minus(text.replace(/_\{(.*?)\}/g, "[$1]"));
  const typeset = (text) => minus(text.replace(/_\{(.*?)\}/g, "<sub>$1</sub>"));
  const symbolOf = ([name, ...index]) => (index.length ? `${name}_{${index}}` : name.replace("y_hat", "ŷ"));
  const find = (object, path) => path.reduce((value, key) => value[key], object);
  const put = (object, path, value) => { find(object, path.slice(0, -1))[path.at(-1)] = value; };

  const W1 = INPUTS.flatMap((i) => UNITS.map((j) => ["w1", i, j])), W2 = UNITS.map((j) => ["w2", j]);
  const edgeOf = ([name, i, j]) => (name === "w1" ? `x${i}-h${j}` : `h${i}-y_hat`);

  // ---- The steps ----------------------------------------------------------------------------------------------------
  // code: the symbol whose piece of code is marked; now: what the graph highlights; lines: [symbol, formula, numbers,
  // value, kind], where kind is "local" or "product" on the way back. What the graph knows are the lines' symbols.
  function listSteps() {
    const v = values, { x, y, w2, learning_rate: rate } = numbers;
    const sigmoid = mode === "sigmoid", into = sigmoid ? "z" : "h"; // into: what the inputs add up to
    const list = [];
    const add = (phase, text, code, lines, now) => {
      const last = list.at(-1);
      if (unitByUnit || text !== last?.text) return list.push({ phase, text, code, lines, now });
      last.lines.push(...lines); // a step for the whole layer
      last.now.push(...now);
    };
    add("start", sigmoid && !edited ? "start_sigmoid" : "start", "", [["x_{0}", "", "", x[0]], ["x_{1}", "", "", x[1]],
      ["y", "", "", y]], ["x0", "x1", "y"]);
    for (const j of UNITS)
      add("forward", "sum", into, [[`${into}_{${j}}`, `x_{0} w1_{0,${j}} + x_{1} w1_{1,${j}}`,
        `${num(x[0])} · ${factor(numbers.w1[0][j])} + ${factor(x[1])} · ${factor(numbers.w1[1][j])}`, v[into][j]]],
        [`h${j}`, `x0-h${j}`, `x1-h${j}`]);
    for (const j of sigmoid ? UNITS : [])
      add("forward", "sigmoid", "h", [[`h_{${j}}`, `σ(z_{${j}})`, `σ(${num(v.z[j])})`, v.h[j]]], [`h${j}`]);
    add("forward", "y_hat", "y_hat", [["ŷ", "h_{0} w2_{0} + h_{1} w2_{1} + h_{2} w2_{2}",
      UNITS.map((j) => `${j ? factor(v.h[j]) : num(v.h[j])} · ${factor(w2[j])}`).join(" + "), v.y_hat]],
      ["y_hat", ...W2.map(edgeOf)]);
    add("forward", "L", "L", [["L", "(ŷ - y)²", `(${num(v.y_hat)} - ${factor(y)})²`, v.L]], ["L", "y_hat-L", "y-L"]);

    add("backward", "dL_dy_hat", "dL_dy_hat",
      [["dL/dŷ", "2 (ŷ - y)", `2 · (${num(v.y_hat)} - ${factor(y)})`, v.dL_dy_hat]], ["y_hat", "y_hat-L"]);
    // One product of the chain rule: dL/d`of` = dL/d`by` · d`by`/d`of`, whose last factor is the `formula`.
    const back = (text, of, by, above, formula, local, value, now, inNumbers = "") => {
      const product = `${num(above)} · ${factor(local)}`;
      const steps = [[`d${by}/d${of}`, formula, inNumbers, local, "local"],
        [`dL/d${of}`, `dL/d${by} · d${by}/d${of}`, product, value, "product"]];
      add("backward", text, text, unitByUnit ? steps : [[`dL/d${of}`, `dL/d${by} · ${formula}`, product, value]], now);
    };
    for (const j of UNITS)
      back("dL_dw2", `w2_{${j}}`, "ŷ", v.dL_dy_hat, `h_{${j}}`, v.h[j], v.dL_dw2[j], [`h${j}-y_hat`]);
    for (const j of UNITS)
      back("dL_dh", `h_{${j}}`, "ŷ", v.dL_dy_hat, `w2_{${j}}`, w2[j], v.dL_dh[j], [`h${j}`, `h${j}-y_hat`]);
    for (const j of sigmoid ? UNITS : [])
      back("dL_dz", `z_{${j}}`, `h_{${j}}`, v.dL_dh[j], `h_{${j}} (1 - h_{${j}})`, v.h[j] * (1 - v.h[j]), v.dL_dz[j],
        [`h${j}`], `${num(v.h[j])} · (1 - ${num(v.h[j])})`);
    for (const [, i, j] of W1)
      back("dL_dw1", `w1_{${i},${j}}`, `${into}_{${j}}`, v[`dL_d${into}`][j], `x_{${i}}`, x[i], v.dL_dw1[i][j],
        [`x${i}-h${j}`]);

    const move = (path) => [`new ${symbolOf(path)}`, "", `${num(find(numbers, path))} - ${factor(rate)} · ` +
      factor(find(v, [`dL_d${path[0]}`, ...path.slice(1)])), find(v, [`new_${path[0]}`, ...path.slice(1)])];
    add("update", "new_w", "new_w", [["new w", "w - rate · dL/dw"], ...[...W1, ...W2].map(move)], [...W1, ...W2].map(edgeOf));
    add("update", "new_L", "L", [["L", "", "", v.L], ["new ŷ", "", "", v.new_y_hat],
      ["new L", "(new ŷ - y)²", `(${num(v.new_y_hat)} - ${factor(y)})²`, v.new_L]], ["y_hat", "L"]);
    return list;
  }

  // ---- The graph's places, in units of its box; every line runs downward ---------------------------------------------
  const WIDTH = 460, BOX = 140;
  function places() {
    const hidden = mode === "sigmoid" ? 80 : 46, y_hat = 200 + hidden + 74, L = y_hat + 46 + 34, place = {};
    const box = (id, x, top, height, width = BOX) => (place[id] = { x, top, height, width, bottom: top + height });
    for (const i of INPUTS) box(`x${i}`, 88 + 284 * i, 2, 32);
    for (const j of UNITS) box(`h${j}`, 72 + 158 * j, 200, hidden);
    box("y_hat", 230, y_hat, 46);
    box("y", 400, y_hat + 7, 32, 112);
    box("L", 230, L, 32);
    return { place, height: L + 36 };
  }

  function line(from, to, place) { // [x1, y1, x2, y2]; lines that share a box meet it at different points
    const a = place[from], b = place[to], i = +from[1], j = +to[1];
    if (from[0] === "x") return [a.x + 40 * (j - 1), a.bottom, b.x + 44 * i - 22, b.top];
    if (from[0] === "h") return [a.x, a.bottom, b.x + 36 * (i - 1), b.top];
    return from === "y" ? [a.x - 20, a.bottom, b.x + BOX / 2, b.top + 16] : [a.x, a.bottom, b.x, b.top];
  }

  function labelAt([name, i, j], place) { // near the end, in the middle or near the start, so that no two labels meet
    const [x1, y1, x2, y2] = name === "w1" ? line(`x${i}`, `h${j}`, place) : line(`h${i}`, "y_hat", place);
    const share = name === "w2" ? 0.5 : j === 1 ? 0.5 : j === 2 * i ? 0.79 : 0.16;
    const apart = name === "w2" ? 30 * (i - 1) : 0;
    return [x1 + share * (x2 - x1) + apart, y1 + share * (y2 - y1)];
  }

  // ---- Building the page --------------------------------------------------------------------------------------------
  const SVG = new Set(["svg", "g", "path", "polygon", "circle", "text"]);
  function make(name, attributes = {}, ...children) {
    const node = SVG.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes))
      key.startsWith("on") ? node.addEventListener(key.slice(2), value) : node.setAttribute(key, value);
    node.append(...children);
    return node;
  }
  function html(name, attributes, content) {
    const node = make(name, attributes);
    node.innerHTML = content;
    return node;
  }
  const part = { items: [] }; // the elements that `render` changes

  function build() {
    const button = (key, onclick, attributes = {}) => make("button", { type: "button", onclick, ...attributes }, say(key));
    const box = (id) => {
      part[id] = make("input", { type: "checkbox", id: `stepper-${id}`, onchange: choose });
      return make("label", { class: "switch" }, part[id], say(id));
    };
    part.phases = ["start", "forward", "backward", "update"].map((phase) =>
      button(phase, () => go(steps.findIndex((step) => step.phase === phase)), { "data-phase": phase }));
    part.back = button("back", () => go(position - 1), { class: "back" });
    part.next = button("next", () => go(position + 1), { class: "next" });
    for (const name of ["count", "formulas", "text", "caption", "edges", "curve", "curveText"]) part[name] = make("div");
    part.rate = input(["learning_rate"]);
    part.invalid = make("p", { class: "invalid", role: "alert" });
    part.status = make("div", { role: "status", "aria-live": "polite", "aria-atomic": "true" });
    const code = [...root.querySelectorAll(".stepper-code")];
    for (const name of ["count", "formulas", "text", "caption"]) part[name].setAttribute("class", name);

    part.graph = make("div", { class: "graph", role: "group", "aria-label": say("graph") }, part.edges, ...items());
    part.weight = make("select", { id: "stepper-weight", onchange: () => (part.nudged.textContent = "") },
      ...[...W1, ...W2].map((path) => make("option", { value: path.join("-") }, spoken(symbolOf(path)))));
    part.nudged = make("output", { class: "formulas" });
    part.nudge = make("div", { class: "panel nudge" }, make("label", { for: "stepper-weight" }, say("weight")), part.weight,
      button("nudge", nudge), part.nudged);
    part.train = make("div", { class: "panel train" }, button("again", () => train(1), { class: "again" }),
      button("ten", () => train(10), { class: "ten" }), button("rewind", rewind, { class: "rewind" }), part.curve, part.curveText);
    const legend = ["forward", "backward", "update", "positive", "negative"].map((key) =>
      make("span", { class: key }, say(`legend-${key}`)));
    root.append(
      make("div", { class: "bar top" }, make("div", { class: "phases" }, ...part.phases), box("sigmoid"), box("units"),
        make("label", { class: "rate" }, say("rate"), part.rate), button("reset", reset, { class: "reset" })),
      part.invalid,
      make("div", { class: "stage" }, make("div", { class: "picture" }, part.graph, make("p", { class: "legend" }, ...legend)),
        make("div", { class: "tell" }, make("div", { class: "bar" }, part.back, part.next, part.count), part.formulas, part.text),
        make("section", { class: "more" }, part.nudge, part.train, part.caption, ...code)), // no div: no copy button
      part.status);
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", say("name"));
    document.addEventListener("keydown", onKey);
    window.addEventListener("hashchange", readAddress);
    root.hidden = false;
    texts.hidden = true;
  }

  // What stands on the graph: boxes with rows, and weights. A row has a name, a number, which is a field where the reader
  // may change it, and below them the derivative.
  function items() {
    const row = (path, typed) => {
      const value = typed ? input(path) : make("span", { class: "value" }), back = make("span", { class: "backward" });
      const node = make("div", { class: "entry" }, html("span", { class: "name" }, typeset(symbolOf(path))), value, back);
      part.items.push({ path, node, value, back, typed });
      return node;
    };
    const box = (id, ...rows) => (part[id] = make("div", { class: "node", "data-id": id }, ...rows));
    const weight = (path) => (part[edgeOf(path)] = make("div", { class: "weight", "data-id": edgeOf(path) }, row(path, true)));
    return [...INPUTS.map((i) => box(`x${i}`, row(["x", i], true))), ...W1.map(weight),
      ...UNITS.map((j) => box(`h${j}`, row(["z", j]), row(["h", j]))), ...W2.map(weight), box("y_hat", row(["y_hat"])),
      box("y", row(["y"], true)), box("L", row(["L"]))];
  }

  function input(path) {
    const spokenName = path[0] === "learning_rate" ? say("rate") : spoken(symbolOf(path));
    const field = make("input", { type: "text", id: `stepper-${path.join("-")}`, autocomplete: "off", "aria-label": spokenName,
      onchange: () => edit(field), onfocus: () => focus(field) });
    Object.assign(field, { path, spokenName });
    return field;
  }

  // ---- What the reader does -----------------------------------------------------------------------------------------
  function focus(field) { // what is nudged is the weight that the reader has last been at
    field.select();
    if (field.path[0][0] !== "w") return;
    if (part.weight.value !== field.path.join("-")) part.nudged.textContent = "";
    part.weight.value = field.path.join("-");
  }

  function edit(field) { // once the reader is done with it, so that no half of a number is used
    const text = field.value.trim().replace("\u2212", "-").replace(",", "."), value = text === "" ? NaN : Number(text);
    if (!(Math.abs(value) <= LIMIT)) {
      part.invalid.textContent = say("invalid", { name: field.spokenName, typed: field.value, limit: LIMIT });
      return render();
    }
    if (field.path[0][0] === "w" && steps[position].phase === "update") {
      nextUpdate(); // the weights on the graph are the new ones
      position = 0;
    }
    put(numbers, field.path, value);
    if (field.path[0] !== "learning_rate") {
      edited = true;
      begin();
    }
    refresh();
    go(position);
  }

  function begin() { // from these numbers on
    begun = copy(numbers);
    losses = [];
  }

  function reset() {
    numbers = copy(data[mode].numbers);
    edited = false;
    begin();
    refresh();
    go(0);
  }

  function rewind() {
    [numbers.w1, numbers.w2] = copy([begun.w1, begun.w2]);
    begin();
    refresh();
    go(0);
  }

  function choose() {
    const { text, phase } = steps[position], chosen = part.sigmoid.checked ? "sigmoid" : "identity";
    if (chosen !== mode) {
      mode = chosen;
      if (!edited) numbers = { ...copy(data[mode].numbers), learning_rate: numbers.learning_rate };
      begin();
    }
    unitByUnit = part.units.checked;
    refresh();
    const same = steps.findIndex((step) => step.text === text);
    go(same >= 0 ? same : steps.findIndex((step) => step.phase === phase));
  }

  function train(updates) {
    if (position < steps.length - 1) updates -= 1; // the end of these steps is an update
    for (; updates > 0 && Number.isFinite(values.new_L); updates--) nextUpdate();
    refresh();
    go(steps.length - 1);
    if (!Number.isFinite(values.new_L)) part.invalid.textContent = say("diverged");
  }

  function nudge() { // the central difference, by which the lessons check their gradients
    const path = part.weight.value.split("-"), symbol = symbolOf(path);
    const [more, less] = [NUDGE, -NUDGE].map((by) => {
      const nudged = copy(numbers);
      put(nudged, path, find(nudged, path) + by);
      return forward(nudged).L;
    });
    const difference = `(${num(more, 7)} - ${num(less, 7)}) / ${2 * NUDGE}`;
    showLines(part.nudged, [[`L(${symbol} + ${NUDGE})`, "", "", more, "nudged"], [`L(${symbol} - ${NUDGE})`, "", "", less, "nudged"],
      [`ΔL/Δ${symbol}`, "", difference, (more - less) / (2 * NUDGE), "nudged"],
      [`dL/d${symbol}`, "", "", find(values, [`dL_d${path[0]}`, ...path.slice(1)]), "product"]], 7);
  }

  function onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest("input, textarea, select, pre, [contenteditable]")) return;
    const to = { ArrowRight: position + 1, ArrowLeft: position - 1, Home: 0, End: steps.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  }

  function readAddress() { // #s=11&sigmoid&units
    const given = new URLSearchParams(location.hash.slice(1));
    if (!given.has("s")) return;
    for (const name of ["sigmoid", "units"]) part[name].checked = given.has(name);
    choose();
    go((parseInt(given.get("s"), 10) || 1) - 1);
  }

  function go(to) {
    position = Math.min(Math.max(to, 0), steps.length - 1);
    const flags = `${mode === "sigmoid" ? "&sigmoid" : ""}${unitByUnit ? "&units" : ""}`;
    history.replaceState(null, "", `#s=${position + 1}${flags}`);
    part.invalid.textContent = "";
    render();
  }

  // ---- Drawing ------------------------------------------------------------------------------------------------------
  function refresh() {
    values = JSON.stringify(numbers) === JSON.stringify(data[mode].numbers) ? data[mode].values : compute(numbers);
    steps = listSteps();
    part.nudged.textContent = "";
  }

  function render() {
    const step = steps[position], last = position === steps.length - 1;
    root.dataset.phase = step.phase;
    root.dataset.step = position;
    part.back.setAttribute("aria-disabled", position === 0);
    part.next.setAttribute("aria-disabled", last);
    part.count.textContent = say("progress", { u: losses.length + 1, k: position + 1, n: steps.length });
    for (const button of part.phases)
      button.setAttribute("aria-current", button.dataset.phase === step.phase ? "step" : "false");
    part.nudge.hidden = step.phase === "update";
    part.train.hidden = !part.nudge.hidden;
    part.curve.hidden = part.curveText.hidden = !last;
    drawGraph(step, last);
    drawCurve([...losses, values.L, values.new_L]);
    showLines(part.formulas, step.lines);
    part.text.innerHTML = message(`step-${step.text}`).firstElementChild.innerHTML;
    markCode(step.code);
    const heard = step.lines.map(([symbol, formula, , value], row) =>
      [symbol, row === 0 && formula, value === undefined ? "" : num(value)].filter(Boolean).join(" = "));
    const place = [part.count.textContent, say(step.phase)];
    part.status.textContent = [...place, ...heard.map(spoken), part.text.textContent].join(". ");
  }

  function showLines(where, lines, precision) {
    where.replaceChildren(...lines.map(([symbol, formula, inNumbers, value, kind]) => {
      const terms = [symbol, formula, inNumbers].filter(Boolean).map(typeset);
      const shown = value === undefined ? "" : num(value, precision);
      if (shown) terms.push(`<data value="${value}" data-symbol="${spoken(symbol)}">${shown}</data>`);
      return html("p", {}, (kind ? `<small>${say(kind)}</small>` : "") + `<span>${terms.join(" = ")}</span>`);
    }));
  }

  function markCode(symbol) {
    for (const block of root.querySelectorAll(".stepper-code")) block.hidden = block.dataset.mode !== mode;
    const block = root.querySelector(`.stepper-code[data-mode="${mode}"]`);
    for (const node of root.querySelectorAll(".stepper-code .now")) node.classList.remove("now");
    const pieces = [...block.querySelectorAll("[data-of]")].filter((node) => node.dataset.of.split(" ").includes(symbol));
    for (const piece of pieces) [piece, piece.closest(".line")].forEach((node) => node.classList.add("now"));
    const { file } = symbol === "new_w" ? data.identity : data[mode]; // the update is the lesson's in both
    part.caption.textContent = pieces.length ? say("code", { file, line: pieces[0].closest(".line").dataset.line }) : "";
    Object.assign(block.querySelector("pre"), { tabIndex: 0, scrollLeft: 0 }); // scrolled sideways by keyboard too
  }

  function drawGraph(step, last) {
    const known = new Set(steps.slice(0, position + 1).flatMap((step) => step.lines.map(([symbol]) => symbol)));
    const now = new Set(step.now), { place, height } = places();
    const percent = (x, y) => `left:${(100 * x) / WIDTH}%;top:${(100 * y) / height}%`;
    part.graph.setAttribute("style", `aspect-ratio:${WIDTH}/${height}`);
    part.rate.value = num(numbers.learning_rate);
    for (const { path, node, value, back, typed } of part.items) {
      const [name, ...index] = path, symbol = symbolOf(path);
      node.hidden = name === "z" && mode !== "sigmoid";
      if (node.hidden) continue;
      const moved = known.has(`new ${symbol}`);
      const renewed = moved || (last && !typed); // the row has gone forward once more
      const shown = num(find(renewed || !typed ? values : numbers, [renewed ? `new_${name}` : name, ...index]));
      if (typed) Object.assign(value, { value: shown }).setAttribute("style", `width:${Math.max(shown.length, 4) + 1}ch`);
      else value.textContent = known.has(symbol) ? ` = ${shown}` : "";
      node.classList.toggle("update", renewed);
      const derivative = known.has(`dL/d${symbol}`) && !last; // which were those at the old weights
      back.textContent = derivative ? `↑ ${num(find(values, [`dL_d${name}`, ...index]))}` : "";
    }
    for (const [id, { x, top, height: tall, width }] of Object.entries(place)) {
      part[id].setAttribute("style", `${percent(x - width / 2, top)};width:${(100 * width) / WIDTH}%;height:${(100 * tall) / height}%`);
      part[id].classList.toggle("now", now.has(id));
      const first = id[0] === "h" ? `${mode === "sigmoid" ? "z" : "h"}_{${id[1]}}` : id === "y_hat" ? "ŷ" : id;
      part[id].classList.toggle("known", id[0] === "x" || known.has(first));
    }
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${height}`, "aria-hidden": "true" });
    for (const path of [...W1, ...W2]) {
      const id = edgeOf(path), renewed = known.has(`new ${symbolOf(path)}`);
      const w = find(renewed ? values : numbers, [(renewed ? "new_" : "") + path[0], ...path.slice(1)]);
      part[id].setAttribute("style", percent(...labelAt(path, place)));
      part[id].classList.toggle("now", now.has(id));
      svg.append(arrow(id, place, w < 0 ? "negative" : "positive", 1.5 + 1.6 * Math.min(Math.abs(w), 3)));
    }
    for (const id of ["y_hat-L", "y-L"]) svg.append(arrow(id, place, "", 2));
    part.edges.replaceChildren(svg);

    function arrow(id, place, sign, width) { // on the way back, the lines in question point up
      const ends = line(...id.split("-"), place);
      const [x1, y1, x2, y2] = now.has(id) && step.phase === "backward" ? [...ends.slice(2), ...ends.slice(0, 2)] : ends;
      const angle = Math.atan2(y2 - y1, x2 - x1), size = 8 + width;
      const behind = (turn, by = size) => `${x2 - by * Math.cos(angle + turn)} ${y2 - by * Math.sin(angle + turn)}`;
      return make("g", { class: `edge ${sign}${now.has(id) ? " now" : ""}`, "data-id": id },
        make("path", { d: `M${x1} ${y1}L${behind(0, size * 0.8)}`, "stroke-width": width }),
        make("polygon", { points: `${x2} ${y2} ${behind(0.45)} ${behind(-0.45)}` }));
    }
  }

  function drawCurve(points) { // of the loss, from 0 up, over the updates
    const finite = points.filter(Number.isFinite), top = Math.max(...finite), last = points.length - 1;
    const at = (L, k) => [92 + (k * 340) / last, 110 - (100 * L) / (top || 1)], shown = finite.map(at);
    const label = (x, y, text, anchor) => make("text", { x, y, "text-anchor": anchor }, text);
    part.curveText.textContent = say("curve", { u: last, first: num(points[0]), last: num(points[last]) });
    part.curve.replaceChildren(make("svg", { viewBox: "0 0 450 132", class: "curve", "aria-hidden": "true" },
      make("path", { class: "axis", d: "M92 4V110H440" }), label(86, 15, `L = ${num(top)}`, "end"), label(86, 114, "0", "end"),
      label(92, 128, "0", "middle"), label(432, 128, String(last), "middle"),
      make("path", { class: "line", d: `M${shown.join("L")}` }),
      ...shown.map(([cx, cy]) => make("circle", { cx, cy, r: last > 40 ? 1.5 : 3.5 }))));
  }

  build();
  refresh();
  render();
  readAddress();
})();
