// Draws the figures as they come into view, in the colours of the page, again when those change.
(() => {
  "use strict";
  const read = () => JSON.parse(document.getElementById("figures").textContent);
  let { figures, dark: darkColours } = read();
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const PRINTED_WIDTH = 330;
  let printing = false;

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

  function draw(chart) {
    const stored = figures[chart.id];
    const { data, layout } = scheme.matches && !printing ? coloured(stored) : stored;
    const size = printing ? { width: PRINTED_WIDTH } : { autosize: true, width: undefined };
    const theme = { ...layout, ...size, showlegend: false, uirevision: "kept", template: template() };
    const config = { displayModeBar: false, responsive: !printing };
    return Plotly.react(chart, structuredClone(data), structuredClone(theme), config)
      .then(() => {
        chart.dataset.drawn = "true";
        document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
      });
  }

  let charts = [];
  const redraw = () => charts.filter((chart) => chart.dataset.drawn).forEach(draw);
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
    ({ figures, dark: darkColours } = read());
    watch();
    redraw();
  });
  scheme.addEventListener("change", redraw);
  function print(now) {
    printing = now;
    document.documentElement.toggleAttribute("data-printing", now);
    charts.forEach(draw);
  }
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
})();
