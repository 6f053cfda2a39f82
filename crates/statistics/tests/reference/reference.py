"""Computes reference.json: the figures that reference.rs holds this crate to.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0
    venv/bin/python reference.py > reference.json

Every section names the call it was computed with. Where no package has the method (Tango, mid-p, the finite population),
the figure comes from its definition by another route than the crate's: numerical likelihoods and full enumeration.
"""

import itertools
import json
import math

import numpy
import scipy
import statsmodels
import statsmodels.api as sm
from numpy import array, concatenate, delete, quantile, sign, sqrt
from scipy import optimize, special, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import normal_sample_size_one_tail
from statsmodels.stats.proportion import proportion_confint

ALTERNATIVES = ["two-sided", "less", "greater"]
SCORES = [0.31, 0.88, 0.47, 0.52, 0.99, 0.05, 0.76, 0.64, 0.71, 0.28, 0.93, 0.40]
OTHER = [0.44, 0.90, 0.41, 0.70, 0.97, 0.35, 0.88, 0.61, 0.90, 0.27, 0.95, 0.58]
LATENCIES = [0.8, 1.1, 0.9, 4.2, 1.0, 1.3, 0.7, 2.5, 1.2, 0.9, 1.6, 0.85, 3.1, 1.05, 0.95, 6.4, 1.15, 0.75, 1.45, 2.05]
TABLES = [(40, 3, 12, 45), (85, 2, 9, 4), (170, 6, 14, 10), (59, 6, 16, 80), (180, 10, 10, 0), (90, 0, 5, 5),
          (1, 1, 7, 12), (1, 7, 1, 12), (0, 0, 20, 0), (0, 1, 0, 0), (60, 0, 0, 40), (3, 40, 2, 5),
          (812, 31, 55, 102), (95_000, 1_200, 1_350, 2_450)]


def proportions():
    rows = []
    for n in [1, 5, 20, 337, 10_000, 1_000_000]:
        for x in sorted({round(n * share) for share in [0, 0.003, 0.31, 0.5, 0.97, 1]}):
            for level in [0.8, 0.95, 0.999]:
                ends = {m: list(map(float, proportion_confint(x, n, 1 - level, method=s)))
                        for m, s in [("wilson", "wilson"), ("clopper_pearson", "beta"), ("jeffreys", "jeffreys")]}
                # The rule of Brown, Cai and DasGupta, which statsmodels leaves out.
                if x == 0:
                    ends["jeffreys"][0] = 0.0
                if x == n:
                    ends["jeffreys"][1] = 1.0
                rows.append({"x": x, "n": n, "level": level, **ends})
    return rows


def student():
    rows = []
    for df in [1, 2, 3, 5, 9, 30, 100, 999, 19_999, 999_999]:
        for level in [0.5, 0.8, 0.95, 0.99, 0.999_999]:
            rows.append({"df": df, "level": level, "t": float(stats.t.isf((1 - level) / 2, df))})
    tails = [{"df": df, "t": t, "two_sided": float(2 * stats.t.sf(abs(t), df)), "greater": float(stats.t.sf(t, df)),
              "less": float(stats.t.cdf(t, df))}
             for df in [1, 2, 5, 30, 999, 999_999] for t in [-40.0, -5.0, -2.9, -0.5, 0.0, 0.01, 1.0, 2.99, 3.01, 8.0]]
    return {"quantiles": rows, "tails": tails}


def means():
    one = stats.ttest_1samp(SCORES, 0.5)
    pair = stats.ttest_rel(OTHER, SCORES)
    interval = lambda test, level: list(map(float, test.confidence_interval(level)))
    return {
        "scores": SCORES, "other": OTHER,
        "one": {"statistic": float(one.statistic), "interval_90": interval(one, 0.9),
                "p": {a: float(stats.ttest_1samp(SCORES, 0.5, alternative=a).pvalue) for a in ALTERNATIVES}},
        "paired": {"statistic": float(pair.statistic), "interval_95": interval(pair, 0.95),
                   "p": {a: float(stats.ttest_rel(OTHER, SCORES, alternative=a).pvalue) for a in ALTERNATIVES}},
    }


def clustered():
    rng = numpy.random.default_rng(7)
    rows = []
    for groups in [2, 5, 30]:
        labels = concatenate([[g] * int(rng.integers(1, 8)) for g in range(groups)])
        scores = numpy.round(0.5 + 0.2 * rng.normal(size=groups)[labels] + 0.1 * rng.normal(size=len(labels)), 3)
        fit = sm.OLS(scores, numpy.ones(len(scores))).fit(
            cov_type="cluster", cov_kwds={"groups": labels, "use_correction": True}, use_t=True)
        plain = sm.OLS(scores, numpy.ones(len(scores))).fit(
            cov_type="cluster", cov_kwds={"groups": labels, "use_correction": False})
        iid = float(numpy.std(scores) / sqrt(len(scores)))
        rows.append({"scores": scores.tolist(), "clusters": labels.tolist(), "mean": float(fit.params[0]),
                     "standard_error": float(fit.bse[0]), "interval_95": list(map(float, fit.conf_int(0.05)[0])),
                     "p_value_against_zero": float(fit.pvalues[0]), "design_effect": float(plain.bse[0] / iid) ** 2})
    return rows


def quantiles():
    rows = [{"p": p, "value": float(quantile(LATENCIES, p))} for p in [0, 0.01, 0.1, 0.25, 0.5, 0.9, 0.95, 0.99, 1]]
    intervals = []
    for p in [0.1, 0.25, 0.5, 0.75, 0.9]:
        for level in [0.8, 0.95]:
            low, high = stats.quantile_test(LATENCIES, p=p).confidence_interval(level)
            finite = lambda end: None if math.isnan(end) else float(end)
            intervals.append({"p": p, "level": level, "low": finite(low), "high": finite(high)})
    return {"values": LATENCIES, "quantiles": rows, "intervals": intervals}


def bca(estimate, resampled, jackknife, level):
    """The steps of scipy.stats._resampling._bca_interval."""
    resampled, jackknife = array(resampled), array(jackknife)
    tie = numpy.isclose(resampled, estimate, rtol=1e-12, atol=1e-13)
    share = (numpy.sum((resampled < estimate) & ~tie) + numpy.sum(tie) / 2) / len(resampled)
    z0 = special.ndtri(share)
    u = (len(jackknife) - 1) * (jackknife.mean() - jackknife)
    a = numpy.sum(u ** 3) / (6 * numpy.sum(u ** 2) ** 1.5)
    ends = [z0 + (z0 + z) / (1 - a * (z0 + z)) for z in special.ndtri([(1 - level) / 2, (1 + level) / 2])]
    return {"z0": float(z0), "a": float(a), "interval": [float(quantile(resampled, special.ndtr(z))) for z in ends]}


def bootstrap():
    exhaustive = []
    x = [0.3, 2.1, 0.9, 7.7, 1.4, 3.2]
    for name, statistic in [("mean", numpy.mean), ("variance", numpy.var), ("median", numpy.median)]:
        resampled = [float(statistic(r)) for r in itertools.product(x, repeat=len(x))]
        jackknife = [float(statistic(delete(x, i))) for i in range(len(x))]
        row = bca(float(statistic(x)), resampled, jackknife, 0.9)
        exhaustive.append({"statistic": name, "x": x, "estimate": float(statistic(x)), "level": 0.9, **row})
    sampled = []
    for name, statistic in [("mean", numpy.mean), ("median", numpy.median), ("variance", numpy.var)]:
        result = stats.bootstrap((LATENCIES,), statistic, n_resamples=199_999, confidence_level=0.95, method="BCa",
                                 rng=numpy.random.default_rng(1))
        sampled.append({"statistic": name, "interval": list(map(float, result.confidence_interval)),
                        "standard_error": float(result.standard_error)})
    return {"exhaustive": exhaustive, "values": LATENCIES, "sampled": sampled}


def mcnemar_p_values():
    rows = []
    for a, b, c, d in TABLES:
        n, k = b + c, min(b, c)
        two = float(mcnemar([[a, b], [c, d]], exact=True).pvalue) if n else 1.0
        rows.append({
            "table": [a, b, c, d], "two-sided": two,
            # The smaller the number of pairs that got better, the stronger the evidence that the new run is worse.
            "less": float(stats.binom.cdf(c, n, 0.5)), "greater": float(stats.binom.cdf(b, n, 0.5)),
            "mid_p": float(min(1, 2 * stats.binom.cdf(k, n, 0.5) - stats.binom.pmf(k, n, 0.5))),
        })
    return rows


def tango_ends(a, b, c, d, level):
    """The score test by its definition: the likelihood maximised numerically under p_c - p_b = delta."""
    n, z = a + b + c + d, stats.norm.isf((1 - level) / 2)

    def statistic(delta):
        low, high = max(0.0, -delta), (1 - delta) / 2
        def negative(q):
            return -(special.xlogy(b, q) + special.xlogy(c, q + delta) + special.xlogy(a + d, max(1 - 2 * q - delta, 0)))
        q = optimize.minimize_scalar(negative, bounds=(low, high), method="bounded", options={"xatol": 1e-15}).x
        # A maximum on the border is approached only; take the border itself if it is better.
        q = min([q, low, high], key=negative)
        return (c - b - n * delta) / sqrt(n * (2 * q + delta * (1 - delta)))

    def end(side):
        estimate = (c - b) / n
        border = side * (1 - 1e-12)
        if abs(estimate - side) < 1e-15:
            return float(side)
        f = lambda delta: side * statistic(delta) + z
        return float(optimize.brentq(f, estimate + side * 1e-12, border, xtol=1e-14))

    return [end(-1), end(1)]


def tango():
    return [{"table": list(t), "level": level, "interval": tango_ends(*t, level)} for t in TABLES for level in [0.9, 0.95]]


def sign_flips():
    rows = []
    for d in [[0.3, -0.1, 0.2, 0.4, 0.0, 0.1, -0.2, 0.5, 0.3, 0.1], [0.25, 0.1], [-1, -1, 2, -3, 1],
              [round(o - s, 2) for o, s in zip(OTHER, SCORES)]]:
        p = {a: float(stats.permutation_test((array(d),), numpy.mean, permutation_type="samples", n_resamples=numpy.inf,
                                             alternative=a).pvalue) for a in ALTERNATIVES}
        rows.append({"differences": d, "p": p})
    return rows


def multiple():
    rng = numpy.random.default_rng(3)
    rows = []
    for m in [1, 2, 5, 20]:
        p = numpy.round(rng.beta(0.4, 2, size=m), 4).tolist()
        p[-1] = p[0]
        rows.append({"p": p, "holm": multipletests(p, method="holm")[1].tolist(),
                     "benjamini_hochberg": multipletests(p, method="fdr_bh")[1].tolist()})
    return rows


def power():
    rows = []
    for alpha, target in [(0.05, 0.8), (0.01, 0.9)]:
        for psi, delta in [(0.1, 0.03), (0.1, 0.05), (0.2, 0.05), (0.05, 0.02), (0.3, -0.3)]:
            n = normal_sample_size_one_tail(delta, target, alpha / 2, std_null=sqrt(psi),
                                            std_alternative=sqrt(max(psi - delta ** 2, 0)))
            rows.append({"kind": "mcnemar", "alpha": alpha, "power": target, "args": [psi, delta], "n": float(n)})
        for sd, delta in [(0.3, 0.05), (1.2, 0.1)]:
            n = normal_sample_size_one_tail(delta, target, alpha / 2, std_null=sd)
            rows.append({"kind": "mean", "alpha": alpha, "power": target, "args": [sd, delta], "n": float(n)})
        for p1, p2 in [(0.85, 0.8), (0.5, 0.6)]:
            sd = sqrt(p1 * (1 - p1) + p2 * (1 - p2))
            n = normal_sample_size_one_tail(p1 - p2, target, alpha / 2, std_null=sd)
            rows.append({"kind": "unpaired", "alpha": alpha, "power": target, "args": [p1, p2], "n": float(n)})
    for p, h, level in [(0.5, 0.05, 0.95), (0.95, 0.02, 0.95), (1.0, 0.01, 0.99), (0.8, 0.1, 0.8)]:
        def half_width(n):
            low, high = proportion_confint(p * n, n, 1 - level, method="wilson")
            return (high - low) / 2 - h
        n = optimize.brentq(half_width, 0.5, 1e6, xtol=1e-11) if p != 1 else None
        if n is None:
            z = stats.norm.isf((1 - level) / 2)
            n = optimize.brentq(lambda n: z * z / (2 * (n + z * z)) - h, 1, 1e6, xtol=1e-11)
        rows.append({"kind": "margin", "level": level, "args": [p, h], "n": float(n)})
    return rows


def e_values():
    rows = []
    for b, c in [(0, 0), (0, 1), (3, 12), (2, 9), (0, 5), (10, 10), (40, 75), (400, 300)]:
        for a in [0.5, 1.0, 10.0]:
            e = numpy.exp(stats.betabinom.logpmf(b, b + c, a, a) - stats.binom.logpmf(b, b + c, 0.5))
            rows.append({"b": b, "c": c, "prior": a, "e": float(e)})
    return rows


def finite():
    rows = []
    for population, t, k in [(100, 20, 18), (1000, 100, 85), (1000, 300, 291), (2000, 200, 198), (50, 1, 1), (37, 20, 0),
                             (5000, 400, 391), (300, 299, 150)]:
        for a, b in [(1, 1), (19, 1)]:
            for level in [0.9, 0.95]:
                s = numpy.arange(k, population - (t - k) + 1)
                ratio = (stats.betabinom.logpmf(s, population, a, b)
                         - stats.betabinom.logpmf(s - k, population - t, a + k, b + t - k))
                inside = s[ratio < -math.log(1 - level)]
                rows.append({"population": population, "asked": t, "passed": k, "prior": [a, b], "level": level,
                             "bounds": [int(inside.min()), int(inside.max())]})
    return rows


SECTIONS = {
    "proportions": ("statsmodels.stats.proportion.proportion_confint(x, n, 1 - level, method)", proportions),
    "student": ("scipy.stats.t.isf((1 - level) / 2, df), scipy.stats.t.sf(t, df)", student),
    "means": ("scipy.stats.ttest_1samp(scores, 0.5), scipy.stats.ttest_rel(other, scores)", means),
    "clustered": ("statsmodels OLS(scores, 1).fit(cov_type='cluster', cov_kwds={'groups': clusters}, use_t=True)", clustered),
    "quantiles": ("numpy.quantile(values, p), scipy.stats.quantile_test(values, p=p).confidence_interval(level)", quantiles),
    "bootstrap": ("scipy.stats.bootstrap(method='BCa'), and all 6^6 resamples by its formula", bootstrap),
    "mcnemar": ("statsmodels mcnemar(table, exact=True), scipy.stats.binom.cdf, scipy.stats.binom.pmf", mcnemar_p_values),
    "tango": ("scipy.optimize.brentq over the score statistic with a numerically maximised likelihood", tango),
    "sign_flip": ("scipy.stats.permutation_test(permutation_type='samples', n_resamples=inf)", sign_flips),
    "multiple": ("statsmodels.stats.multitest.multipletests(p, method='holm' | 'fdr_bh')", multiple),
    "power": ("statsmodels.stats.power.normal_sample_size_one_tail(diff, power, alpha / 2, std_null, std_alternative)", power),
    "e_values": ("exp(scipy.stats.betabinom.logpmf(b, n, a, a) - scipy.stats.binom.logpmf(b, n, 0.5))", e_values),
    "finite": ("scipy.stats.betabinom.logpmf, prior over posterior for every S", finite),
}

print("{")
print(f' "numpy": "{numpy.__version__}", "scipy": "{scipy.__version__}", "statsmodels": "{statsmodels.__version__}",')
for last, (name, (call, compute)) in zip([False] * (len(SECTIONS) - 1) + [True], SECTIONS.items()):
    print(f' "{name}": {{"call": {json.dumps(call)}, "figures":')
    figures = compute()
    if isinstance(figures, list):
        print("  [" + ",\n   ".join(json.dumps(row) for row in figures) + "]")
    else:
        print("  " + json.dumps(figures))
    print(" }" if last else " },")
print("}")
