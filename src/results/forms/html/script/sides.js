// Whose outputs judges of pairs prefer.

function sidesOf() {
  const compared = report.judges.filter((judge) => judge.pairwise);
  if (!compared.length) return null;
  const scale = { low: 0, high: 1 };
  return section("sides", "Which outputs are preferred", h("div", { class: "multiples" }, compared.map((judge) => {
    const { n, n_one_order, n_position_biased, consistency, first_preferred, sides, is_separated } = judge.pairwise;
    const rowOf = (side) => {
      const rate = side.win_rate;
      const { strength } = side;
      const ranks = strength && (strength.best_rank === strength.worst_rank ? `rank ${strength.best_rank}` : `ranks ${strength.best_rank}–${strength.worst_rank}`);
      return h("tr", {},
        h("th", { scope: "row" }, own(side.name, { title: visible(side.name) })),
        h("td", { class: "plot-cell" }, rate ? intervalPlot({ label: `${side.name}: ${estText(rate, true)}`, scale: scaleOf([scale.low, scale.high], true), isShare: true, now: rate, tone: "accent", threshold: 0.5, hasAxis: false }) : null),
        h("td", { class: "n" }, rate ? percent(rate.estimate) : "–"),
        h("td", { class: "n quiet" }, `${count(side.wins)} : ${count(side.losses)}, ${counted(side.ties, "tie")}`,
          strength ? h("div", { class: "small" }, `Elo ${Math.round(strength.elo)}, ${ranks}`) : null));
    };
    const words = [
      counted(n, "pair"),
      n_position_biased ? `position-biased: ${count(n_position_biased)} shown in one order only` : null,
      n_one_order ? `${count(n_one_order)} more in one order only` : null,
      consistency ? `${estText(consistency, true)} the same in both orders` : null,
      first_preferred ? `${estText(first_preferred, true)} of preferences are for the output shown first` : null,
      is_separated ? "a side won or lost everything, so distances between strengths mean nothing" : null,
    ];
    return h("div", {}, h("table", { class: "slices" },
      h("caption", {}, own(labelOf(judge)), h("span", { class: "quiet small" }, " · share of wins, a tie counting half")),
      h("tbody", {}, n ? sides.map(rowOf) : null)), h("p", { class: "quiet small" }, `${words.filter(Boolean).join("; ")}.`));
  })));
}
