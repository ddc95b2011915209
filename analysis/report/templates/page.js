// Draws the figures as they come into view, in the colours of the page, again when those change.
(() => {
  "use strict";
  const { figures, dark: darkColours } = JSON.parse(document.getElementById("figures").textContent);
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
    const theme = { ...layout, ...size, showlegend: false, template: template() };
    const config = { displayModeBar: false, responsive: !printing };
    return Plotly.react(chart, structuredClone(data), structuredClone(theme), config)
      .then(() => {
        chart.dataset.drawn = "true";
        document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
      });
  }

  const charts = [...document.querySelectorAll(".chart")];
  const redraw = () => charts.filter((chart) => chart.dataset.drawn).forEach(draw);
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "600px" });
  charts.forEach((chart) => watcher.observe(chart));

  scheme.addEventListener("change", redraw);
  function print(now) {
    printing = now;
    document.documentElement.toggleAttribute("data-printing", now);
    charts.forEach(draw);
  }
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
})();
