// Which trials are picked out on the whole page: those that pass the brushes on parallel axes, or one
// that was opened. Traces whose meta is "trials" name the trial of each point, by its row in the table.
const picked = (() => {
  "use strict";
  const ALL_BUT_GONE = 0.12;
  const brushes = new Map(); // by chart: by axis the interval on it
  let opened = null; // the name of a trial

  function passing({ data }, intervals) {
    const within = [...intervals].map(([axis, [low, high]]) => new Set(data.flatMap(({ meta, x, y, customdata }) => (
      meta === "trials" ? customdata.filter((_, i) => Math.round(y[i]) === axis && x[i] !== null && x[i] >= low && x[i] <= high) : []
    ))));
    return [...within[0]].filter((trial) => within.every((set) => set.has(trial)));
  }
  function brushed(figures) {
    const known = [...brushes].filter(([chart]) => figures[chart]);
    return known.length ? new Set(known.flatMap(([chart, intervals]) => passing(figures[chart], intervals))) : null;
  }

  return {
    // interval: null takes the brush off the axis.
    brush(chart, axis, interval) {
      const own = brushes.get(chart) ?? new Map();
      if (interval) own.set(axis, interval);
      else own.delete(axis);
      if (own.size) brushes.set(chart, own);
      else brushes.delete(chart);
    },
    open(trial) { opened = trial; },
    get opened() { return opened; },
    clear() {
      brushes.clear();
      opened = null;
    },
    brushed,
    // Rows of the table of trials; null: none is picked out.
    trials(figures, trials) {
      const found = opened === null ? -1 : trials.findIndex(({ title }) => title === opened);
      return brushed(figures) ?? (found < 0 ? null : new Set([found]));
    },
    // The traces of a figure with the picked trials over all others.
    emphasised(data, trials) {
      if (trials === null) return data;
      return data.flatMap((trace) => {
        if (trace.meta !== "trials") return [trace];
        const { hovertemplate, ...silent } = trace;
        const y = trace.y.map((value, i) => (trials.has(trace.customdata[i]) ? value : null));
        const marker = trace.marker ? { marker: { ...trace.marker, showscale: false } } : {};
        const line = trace.mode === "lines" ? { line: { ...trace.line, width: Math.max(2, trace.line.width) } } : {};
        return [{ ...silent, opacity: ALL_BUT_GONE, hoverinfo: "skip" }, { ...trace, ...marker, ...line, y, showlegend: false }];
      });
    },
    // The brushes of a chart as Plotly draws them.
    shapes(chart, colour) {
      return [...(brushes.get(chart) ?? [])].map(([axis, [x0, x1]]) => ({
        type: "rect", x0, x1, y0: axis - 0.3, y1: axis + 0.3, fillcolor: colour, opacity: 0.3, line: { width: 1, color: colour },
      }));
    },
  };
})();
