// Small plots. Places are shares of the width, so that they fit any; each says in words what it shows.

const HEIGHT = 28;

function plot(label, height, ...shapes) {
  return svg("svg", { class: "plot", role: "img", "aria-label": visible(label), width: "100%", height }, ...shapes);
}

// A scale that holds all of the values and some room; shares stay within 0 and 1.
function scaleOf(values, isShare) {
  const known = values.filter((x) => Number.isFinite(x));
  let low = known.length ? Math.min(...known) : 0;
  let high = known.length ? Math.max(...known) : 1;
  const room = Math.max((high - low) * 0.12, isShare ? 0.02 : Math.abs(high) * 0.02, 1e-9);
  low -= room;
  high += room;
  // A scale from zero to all is worth more than a few pixels.
  if (isShare) [low, high] = [low < 0.4 ? 0 : Math.floor(low * 10) / 10, high > 0.75 ? 1 : Math.ceil(high * 10) / 10];
  if (!isShare) {
    const step = niceStep((high - low) / 4);
    [low, high] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
  }
  return scaleFrom(low, high);
}

// Of values that can be nothing else, such as those of a histogram.
function scaleFrom(low, high) {
  const step = niceStep((high - low) / 4 || 1);
  const ticks = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + step * 1e-6; x += step) ticks.push(Math.abs(x) < step * 1e-6 ? 0 : x);
  return { low, high, ticks, at: (x) => (x - low) / (high - low) };
}

function niceStep(rough) {
  const size = 10 ** Math.floor(Math.log10(rough));
  return size * [1, 2, 5, 10].find((factor) => factor * size >= rough * 0.999);
}

const shortest = (x) => String(Number(x.toPrecision(6))).replace("-", MINUS);
const tickText = (x, isShare) => (isShare ? `${shortest(100 * x)}%` : shortest(x));

function axis(scale, isShare, y) {
  const anchor = (share) => (share < 0.08 ? "start" : share > 0.92 ? "end" : "middle");
  return scale.ticks.map((x) => [
    svg("line", { class: "tick", x1: across(scale.at(x)), x2: across(scale.at(x)), y1: 0, y2: y }),
    svg("text", { x: across(scale.at(x)), y: y + 12, "text-anchor": anchor(scale.at(x)) }, tickText(x, isShare)),
  ]);
}

// A dot with its interval; hollow for the baseline; a line for a threshold.
function intervalPlot({ label, scale, isShare, now, base, threshold, tone, hasAxis = true }) {
  const y = HEIGHT / 2;
  const at = (x) => across(scale.at(x));
  const shapes = [hasAxis ? axis(scale, isShare, HEIGHT - 2) : svg("line", { class: "tick", x1: "0%", x2: "100%", y1: y, y2: y })];
  if (threshold !== undefined) shapes.push(svg("line", { class: "threshold", x1: at(threshold), x2: at(threshold), y1: 2, y2: HEIGHT - 4 }));
  if (base !== undefined) shapes.push(svg("circle", { class: "hollow", cx: at(base), cy: y, r: 6 }));
  if (now) {
    shapes.push(svg("line", { class: `interval ${tone}`, x1: at(now.low), x2: at(now.high), y1: y, y2: y }));
    shapes.push(svg("circle", { class: `dot ${tone}`, cx: at(now.estimate), cy: y, r: 4.5 }));
  }
  return plot(label, hasAxis ? HEIGHT + 14 : HEIGHT, shapes);
}

// Counts over the scale of values above them; `bins` are {low, high, n}.
function histogramPlot(label, bins, scale) {
  const { at } = scale;
  const most = Math.max(...bins.map((bin) => bin.n), 1);
  const bars = bins.map((bin) => {
    const tall = bin.n ? Math.max(2, (40 * bin.n) / most) : 0;
    const bar = { class: "bar", x: across(at(bin.low)), width: across(at(bin.high) - at(bin.low)), y: 42 - tall, height: tall };
    return svg("rect", bar, svg("title", {}, `${shortest(bin.low)} to ${shortest(bin.high)}: ${count(bin.n)}`));
  });
  const base = svg("line", { class: "tick", x1: "0%", x2: "100%", y1: 42.5, y2: 42.5 });
  return plot(label, 44, bars, base);
}

// Shares of a whole, side by side; `parts` are {n, tone, word}.
function stripPlot(label, parts) {
  const all = parts.reduce((sum, part) => sum + part.n, 0);
  let from = 0;
  const shapes = parts.filter((part) => part.n > 0).map((part) => {
    const share = part.n / all;
    const rect = svg("rect", { class: `part ${part.tone}`, x: across(from), width: across(share), y: 0, height: 8 },
      svg("title", {}, `${part.word}: ${count(part.n)}`));
    from += share;
    return rect;
  });
  return plot(label, 8, shapes);
}

// One row a category, the most frequent first.
function categoryBars(categories, tones) {
  const most = Math.max(...categories.map((category) => category.share), 1e-9);
  return h("ul", { class: "categories" }, categories.slice(0, 8).map(({ label, n, share }) => {
    const bar = svg("svg", { class: "plot", width: "100%", height: 8, "aria-hidden": "true" },
      svg("rect", { class: `part ${tones?.get(label) ?? "plain"}`, x: 0, y: 0, height: 8, width: across(share / most) }));
    return h("li", {}, own(label, { class: "label", title: visible(label) }), bar, h("span", { class: "n" }, `${count(n)} · ${percent(share)}`));
  }), categories.length > 8 ? h("li", { class: "quiet" }, `and ${count(categories.length - 8)} more labels`) : null);
}
