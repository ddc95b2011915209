// Draws the figures as they come into view, in the colours of the page, again when those change.
(() => {
  "use strict";
  const read = () => JSON.parse(document.getElementById("figures").textContent);
  let { figures, dark: darkColours, trials, alerts } = read();
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const PRINTED_WIDTH = 330;
  let printing = false;
  let chosen = null; // rows of the table of trials that are picked out; null: none is

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function template() {
    const axis = {
      gridcolor: token("--grid"), linecolor: token("--line"), zeroline: false, automargin: true,
      tickfont: { color: token("--muted") }, title: { font: { color: token("--muted"), size: 13 } },
    };
    return {
      layout: {
        font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: token("--ink") },
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        xaxis: axis, yaxis: axis,
        hoverlabel: { bgcolor: token("--card"), bordercolor: token("--line"), font: { color: token("--ink") } },
      },
    };
  }

  // Figures are stored in the colours of a light page.
  function coloured(value) {
    if (typeof value === "string") return darkColours[value] ?? value;
    if (Array.isArray(value)) return value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coloured(inner)]));
  }

  const brushable = (chart) => figures[chart?.id]?.layout.meta === "parallel";

  // With a mouse a chart zooms; under a finger it keeps still.
  function zoomable(layout) {
    if (matchMedia("(pointer: coarse)").matches || layout.meta === "parallel") return {};
    const free = (axis) => axis && { ...axis, fixedrange: false };
    return { dragmode: "zoom", xaxis: free(layout.xaxis), yaxis: free(layout.yaxis) };
  }

  function draw(chart) {
    const stored = figures[chart.id];
    const { data: every, layout } = scheme.matches && !printing ? coloured(stored) : stored;
    const data = picked.emphasised(every, chosen);
    const size = printing ? { width: PRINTED_WIDTH } : { autosize: true, width: undefined };
    const shapes = [...(layout.shapes ?? []), ...picked.shapes(chart.id, token("--accent"))];
    const theme = { ...layout, ...zoomable(layout), ...size, shapes, showlegend: false, uirevision: "kept", template: template() };
    chart.classList.toggle("brushable", brushable(chart));
    const config = { displayModeBar: false, responsive: !printing };
    return Plotly.react(chart, structuredClone(data), structuredClone(theme), config)
      .then(() => {
        chart.dataset.drawn = "true";
        document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
      });
  }

  let charts = [];
  const redraw = () => charts.filter((chart) => chart.dataset.drawn).forEach(draw);
  const shown = (chart) => chart.offsetParent !== null; // not folded, not left out by a choice
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "600px" });
  function watch() {
    charts = [...document.querySelectorAll(".chart")];
    charts.filter((chart) => !chart.dataset.drawn).forEach((chart) => watcher.observe(chart));
  }
  watch();

  // A live page has new figures in the elements of before.
  document.addEventListener("report:updated", () => {
    ({ figures, dark: darkColours, trials, alerts } = read());
    choose();
    watch();
    if (picked.opened !== null) open(picked.opened, false);
    pick();
    redraw();
  });
  scheme.addEventListener("change", redraw);
  // Widths of paper, of A4 or Letter within its margins, in CSS pixels; printed text is so much smaller.
  const [UPRIGHT, ACROSS, PRINTED_TEXT] = [650, 940, 0.85];
  function fit(table) {
    table.style.width = "min-content";
    const width = table.offsetWidth * PRINTED_TEXT;
    table.style.width = "";
    table.style.setProperty("--fit", Math.min(1, (table.closest("#trials") ? ACROSS : UPRIGHT) / width));
  }
  function print(now) {
    printing = now;
    document.documentElement.toggleAttribute("data-printing", now);
    if (now) [...document.querySelectorAll("table")].filter(shown).forEach(fit);
    charts.filter(shown).forEach(draw);
  }
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));

  // Saving: on white, at the widths of one and of two columns of a paper, in CSS pixels.
  const COLUMNS = { 1: 336, 2: 696 };
  const PNG_SCALE = 4;
  const SAVED_BRUSH = "#0067b0";
  const MARK = { family: "Arial, sans-serif", size: 10, line: 13, inset: 8, colour: "#a01722" };
  // What stands against the numbers goes below every saved chart: a picture travels without its page.
  function wrapped(text, width) {
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = `${MARK.size}px ${MARK.family}`;
    const lines = [""];
    for (const word of text.split(" ")) {
      const longer = `${lines.at(-1)} ${word}`.trim();
      if (pen.measureText(longer).width <= width) lines.splice(-1, 1, longer);
      else lines.push(word);
    }
    return lines;
  }
  function marked(svg, { width, height }) {
    const picture = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
    const put = (name, attributes, text = "") => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      element.textContent = text;
      picture.append(element);
    };
    const lines = alerts.flatMap((alert) => wrapped(alert, width - 2 * MARK.inset));
    const whole = height + (lines.length ? MARK.line * lines.length + MARK.inset : 0);
    picture.setAttribute("height", whole);
    picture.setAttribute("viewBox", `0 0 ${width} ${whole}`);
    put("rect", { y: height, width, height: whole - height, fill: "#ffffff" });
    const style = { "font-family": MARK.family, "font-size": MARK.size, fill: MARK.colour };
    lines.forEach((line, i) => put("text", { x: MARK.inset, y: height + MARK.line * (i + 0.8), ...style }, line));
    return { url: `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(picture))}`, width, height: whole };
  }
  async function pixels({ url, width, height }) {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: PNG_SCALE * width, height: PNG_SCALE * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL();
  }
  async function save({ chart, file, format, columns }) {
    const { data: every, layout } = structuredClone(figures[chart]);
    const data = picked.emphasised(every, chosen);
    const paper = {
      shapes: [...(layout.shapes ?? []), ...picked.shapes(chart, SAVED_BRUSH)],
      paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", font: { family: "Arial, sans-serif", size: 11, color: "#1b1f24" },
      margin: { ...layout.margin, t: 36 }, showlegend: layout.showlegend ?? true,
    };
    const size = { width: COLUMNS[columns], height: document.getElementById(chart).clientHeight + 24 };
    const svg = await Plotly.toImage({ data, layout: { ...layout, ...paper, ...size } }, { format: "svg", ...size, imageDataOnly: true });
    const picture = marked(svg, size);
    const link = document.createElement("a");
    link.href = format === "svg" ? picture.url : await pixels(picture);
    link.download = `${file}-${columns}col.${format}`;
    link.click();
  }

  // The table of all trials. Elements are looked up when needed: a live page puts new ones there.
  const element = (id) => document.getElementById(id);
  const wanted = { words: [], column: null, down: true };
  const number = (text) => (text.trim() === "" || Number.isNaN(+text) ? null : +text);
  function order(one, two) {
    const [a, b] = [number(one), number(two)];
    if (a !== null && b !== null) return a - b;
    if (a === null && b === null) return one.localeCompare(two, undefined, { numeric: true });
    return a === null ? -1 : 1;
  }
  function arrange() {
    const table = element("trial-table");
    if (!table) return;
    const rows = [...table.tBodies[0].rows];
    const { words, column, down } = wanted;
    const brushed = picked.brushed(figures);
    if (column !== null) {
      [...table.tHead.rows[0].cells].forEach((head) => head.removeAttribute("aria-sort"));
      table.tHead.rows[0].cells[column].setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent;
      rows.sort((a, b) => (down ? order(text(b), text(a)) : order(text(a), text(b))));
      table.tBodies[0].append(...rows);
    }
    for (const row of rows) {
      const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || !(brushed?.has(+row.dataset.trial) ?? true);
    }
    element("trial-count").textContent = `${rows.filter((row) => !row.hidden).length} trials`;
  }
  document.addEventListener("input", ({ target }) => {
    if (target.id !== "trial-filter") return;
    wanted.words = target.value.toLowerCase().split(/\s+/).filter(Boolean);
    arrange();
  });
  document.addEventListener("click", ({ target }) => {
    const saved = target.closest(".save button");
    if (saved) save(saved.dataset);
    const head = target.closest("#trial-table thead th");
    if (head) {
      wanted.down = wanted.column !== head.cellIndex || !wanted.down;
      wanted.column = head.cellIndex;
      arrange();
    }
    const row = target.closest("#trial-table tbody tr");
    if (row) {
      open(trials[+row.dataset.trial].title);
      pick();
    }
    if (target.closest("#picked button")) {
      picked.clear();
      element("trial-detail").hidden = true;
      pick();
    }
    if (target.closest("#trial-detail .copy")) {
      getSelection().selectAllChildren(element("trial-detail").querySelector("pre"));
      document.execCommand("copy");
    }
  });
  function open(name, moving = true) {
    const trial = trials.find(({ title }) => title === name);
    if (!trial) return;
    const { title, end, toml, curves } = trial;
    picked.open(name);
    const detail = element("trial-detail");
    const curve = detail.querySelector(".curve");
    detail.hidden = false;
    detail.querySelector("h3").textContent = title;
    detail.querySelector(".says").textContent = end;
    detail.querySelector("pre").textContent = toml;
    detail.querySelector("details").hidden = !toml;
    const { epoch = [], ...lines } = curves;
    const dashes = ["solid", "dash"];
    const data = Object.entries(lines).map(([name, y], i) => ({
      x: epoch, y, name, mode: epoch.length > 1 ? "lines" : "markers", line: { dash: dashes[i], color: token(i ? "--ink" : "--accent") }, marker: { color: token(i ? "--ink" : "--accent") },
    }));
    curve.setAttribute("aria-label", `Accuracy of ${title} over its epochs.`);
    const layout = { height: 280, margin: { l: 48, r: 16, t: 8, b: 44 }, template: template(), xaxis: { title: { text: "Epoch" }, fixedrange: true }, yaxis: { title: { text: "Accuracy (%)" }, fixedrange: true }, legend: { orientation: "h", y: 1.12 } };
    Plotly.react(curve, data, layout, { displayModeBar: false, responsive: true });
    if (!moving) return;
    detail.focus({ preventScroll: true });
    detail.scrollIntoView({ block: "nearest" });
  }

  // What is picked out shows in all charts and in the table; charts out of view follow when they come into it.
  function pick() {
    chosen = picked.trials(figures, trials);
    const note = element("picked");
    note.hidden = chosen === null;
    note.firstElementChild.textContent = `${chosen?.size} of ${trials.length} trials picked`;
    arrange();
    for (const chart of charts.filter(({ id, dataset }) => dataset.drawn && figures[id].data.some(({ meta }) => meta === "trials"))) {
      delete chart.dataset.drawn;
      watcher.observe(chart);
    }
  }

  // A stroke along an axis of parallel coordinates keeps the trials in it, a tap takes it away again.
  const TAP = 4;
  let stroke = null; // { chart, axis, from }: from and to in units of the axis
  function place(chart, { clientX, clientY }) {
    const { left, top, width, height } = chart.querySelector(".nsewdrag").getBoundingClientRect();
    const { xaxis: { range: [x0, x1] }, yaxis: { range: [y0, y1] } } = figures[chart.id].layout;
    const [across, down] = [(clientX - left) / width, 1 - (clientY - top) / height];
    return { x: x0 + across * (x1 - x0), axis: Math.round(y0 + down * (y1 - y0)) };
  }
  document.addEventListener("pointerdown", (event) => {
    const chart = event.target.closest(".chart");
    if (event.button !== 0 || !brushable(chart) || !event.target.closest(".nsewdrag")) return;
    const { x, axis } = place(chart, event);
    stroke = { chart, axis, from: x, at: event.clientX };
  });
  function stretch(event) {
    const { chart, axis, from } = stroke;
    const { x } = place(chart, event);
    picked.brush(chart.id, axis, [Math.min(from, x), Math.max(from, x)]);
  }
  document.addEventListener("pointermove", (event) => {
    if (stroke === null || Math.abs(event.clientX - stroke.at) < TAP) return;
    stretch(event);
    chosen = picked.trials(figures, trials);
    draw(stroke.chart);
  });
  document.addEventListener("pointerup", (event) => {
    if (stroke === null) return;
    if (Math.abs(event.clientX - stroke.at) < TAP) picked.brush(stroke.chart.id, stroke.axis, null);
    else stretch(event);
    stroke = null;
    pick();
  });
  document.addEventListener("pointercancel", () => { stroke = null; });

  // Of a section with a choice the charts of one show.
  function choose() {
    for (const choice of document.querySelectorAll(".choose")) {
      choice.hidden = false;
      const { value } = choice.querySelector("select");
      for (const figure of choice.closest("section").querySelectorAll("figure")) figure.hidden = figure.dataset.choice !== value;
    }
  }
  document.addEventListener("change", ({ target }) => {
    if (target.closest(".choose")) choose();
  });
  choose();
})();
