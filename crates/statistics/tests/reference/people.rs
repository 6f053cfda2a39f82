//! Agreement, aggregation and calibration against the packages and papers that define them.

use judge_run_statistics::aggregate::{DawidSkene, Estimated, Label, majority};
use judge_run_statistics::agreement::{Closeness, Confusion, Metric, Votes, Weights, alt_test};
use judge_run_statistics::calibration::{
    self, Labelled, Stratum, calibration_split, lee, post_stratified, ppi_plus_plus, rogan_gladen,
};
use judge_run_statistics::proportion::wilson;
use serde_json::Value;

use crate::{close, count, ends, list, number, numbers};

const TOLERANCE: f64 = 1e-6;

fn reference() -> Value {
    serde_json::from_str(include_str!("people.json")).unwrap()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().unwrap().iter()
}

fn table(value: &Value) -> Vec<Vec<u64>> {
    list(value).iter().map(|row| list(row).iter().map(count).collect()).collect()
}

#[test]
fn cohens_kappas_are_those_of_statsmodels_and_ac1_that_of_irr_cac() {
    for (name, case) in entries(&reference()["cohen"]) {
        let confusion = Confusion::of_rows(table(&case["table"])).unwrap();
        let plain = confusion.cohen(Weights::Identity, 0.95).unwrap();
        close(plain.estimate, number(&case["kappa"]), TOLERANCE, name);
        close(plain.standard_error, number(&case["se"]), TOLERANCE, name);
        ends(&plain.interval, &case["ci"], TOLERANCE, name);
        close(plain.agreement, number(&case["po"]), TOLERANCE, name);
        for (weights, kappa, variance) in [
            (Weights::Linear, "kappa_linear_ca", "var_linear"),
            (Weights::Quadratic, "kappa_quadratic_fc", "var_quadratic"),
        ] {
            let weighted = confusion.cohen(weights, 0.95).unwrap();
            close(weighted.estimate, number(&case[kappa]), TOLERANCE, name);
            close(weighted.standard_error.powi(2), number(&case[variance]), TOLERANCE, name);
        }
        let votes = confusion.votes();
        close(votes.gwet(Weights::Identity, 0.95).unwrap().estimate, number(&case["ac1"]), TOLERANCE, name);
        close(votes.fleiss(Weights::Identity, 0.95).unwrap().estimate, number(&case["scott_pi"]), TOLERANCE, name);
    }
}

#[test]
fn fleiss_kappa_is_the_published_one() {
    let case = &reference()["fleiss"];
    let mut votes = Votes::new(5);
    for row in table(&case["table"]) {
        votes.add(row.iter().enumerate().flat_map(|(category, count)| (0..*count).map(move |_| category)));
    }
    close(votes.fleiss(Weights::Identity, 0.95).unwrap().estimate, number(&case["kappa"]), TOLERANCE, &"Wikipedia");
}

#[test]
fn krippendorffs_alphas_are_the_published_ones_with_missing_ratings() {
    let case = &reference()["krippendorff"];
    let rows: Vec<&[Value]> = list(&case["data"]).iter().map(list).collect();
    let mut votes = Votes::new(5);
    for unit in 0..rows[0].len() {
        votes.add(rows.iter().filter_map(|row| row[unit].as_f64()).map(|rating| rating as usize - 1));
    }
    for (metric, name) in [
        (Metric::Nominal, "nominal"),
        (Metric::Ordinal, "ordinal"),
        (Metric::Interval, "interval"),
        (Metric::Ratio, "ratio"),
    ] {
        let alpha = votes.krippendorff(metric, &[1.0, 2.0, 3.0, 4.0, 5.0], 0.95).unwrap();
        close(alpha.estimate, number(&case[name]), TOLERANCE, &name);
    }
}

/// The ratings of PandaLM's test set: items of three annotators and two judges.
fn pandalm(case: &Value) -> Vec<[Option<usize>; 5]> {
    let mut items = Vec::new();
    for (pattern, times) in entries(&case["patterns"]) {
        let mut ratings = [None; 5];
        for (rating, c) in ratings.iter_mut().zip(pattern.chars()) {
            *rating = c.to_digit(10).map(|digit| digit as usize);
        }
        (0..count(times)).for_each(|_| items.push(ratings));
    }
    assert_eq!(items.len(), 999);
    items
}

#[test]
fn pandalms_annotators_and_judges_agree_as_published() {
    let reference = reference();
    let case = &reference["pandalm"];
    let items = pandalm(case);
    for (pair, kappa) in [(0, 1), (0, 2), (1, 2)].into_iter().zip(numbers(&case["cohen"])) {
        let mut confusion = Confusion::new(3);
        items.iter().for_each(|item| confusion.add(item[pair.0].unwrap(), item[pair.1].unwrap()));
        close(confusion.cohen(Weights::Identity, 0.95).unwrap().estimate, kappa, TOLERANCE, &"annotators");
    }
    let mut votes = Votes::new(3);
    items.iter().for_each(|item| votes.add(item[..3].iter().flatten().copied()));
    close(votes.fleiss(Weights::Identity, 0.95).unwrap().estimate, number(&case["fleiss"]), TOLERANCE, &"Fleiss");
    let alpha = votes.krippendorff(Metric::Nominal, &[0.0, 1.0, 2.0], 0.95).unwrap();
    close(alpha.estimate, number(&case["alpha"]), TOLERANCE, &"alpha");
    ends(&alpha.interval, &case["alpha_interval"], 1e-5, &"alpha, five digits");
    let ac1 = votes.gwet(Weights::Identity, 0.95).unwrap();
    close(ac1.estimate, number(&case["ac1"]), TOLERANCE, &"AC1");
    ends(&ac1.interval, &case["ac1_interval"], 1e-5, &"AC1, six digits");
    for (judge, name) in [(3, "gpt35_vs_majority"), (4, "pandalm7b_vs_majority")] {
        let case = &case["judges"][name];
        let mut confusion = Confusion::new(3);
        for item in &items {
            let mut counts = [0; 3];
            item[..3].iter().flatten().for_each(|rating| counts[*rating] += 1);
            if let Some(judged) = item[judge] {
                confusion.add(majority(&counts).unwrap(), judged);
            }
        }
        let kappa = confusion.cohen(Weights::Identity, 0.95).unwrap();
        assert_eq!(confusion.items(), count(&case["n"]));
        close(confusion.accuracy(0.95).unwrap().0, number(&case["accuracy"]), TOLERANCE, &name);
        close(kappa.estimate, number(&case["kappa"]), TOLERANCE, &name);
        close(kappa.standard_error, number(&case["kappa_se"]), TOLERANCE, &name);
    }
}

#[test]
fn the_alternative_annotator_test_says_of_pandalm_what_the_papers_code_says() {
    let reference = reference();
    let case = &reference["pandalm"];
    let items = pandalm(case);
    let column =
        |rater: usize| -> Vec<Option<f64>> { items.iter().map(|item| item[rater].map(|c| c as f64)).collect() };
    let people: Vec<_> = (0..3).map(column).collect();
    for (name, expected) in entries(&case["alt_test"]) {
        let (judge, epsilon) = name.split_once('_').unwrap();
        let judge = column(if judge == "gpt35" { 3 } else { 4 });
        let found = alt_test(&judge, &people, Closeness::Same, epsilon.parse().unwrap(), 0.05).unwrap();
        for (h, annotator) in found.annotators.iter().enumerate() {
            let key = format!("a{}", h + 1);
            close(annotator.p_value.unwrap(), number(&expected["p_values"][&key]), TOLERANCE, name);
            close(annotator.advantage, number(&expected["advantage"][&key]), TOLERANCE, name);
        }
        close(found.average_advantage, number(&expected["avg_advantage"]), TOLERANCE, name);
        close(found.winning_rate, number(&expected["winning_rate"]), TOLERANCE, name);
        assert_eq!(found.passed, expected["passed"].as_bool().unwrap());
    }
}

fn most_likely(found: &Estimated) -> Vec<u64> {
    let best =
        |shares: &Vec<f64>| (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap() as u64 + 1;
    found.posteriors.iter().map(best).collect()
}

#[test]
fn dawid_and_skenes_anaesthetists_are_as_published() {
    let case = &reference()["dawid_skene"];
    let labels = |only_first: bool| -> Vec<Label> {
        let mut labels = Vec::new();
        for (item, raters) in list(&case["data"]).iter().enumerate() {
            for (rater, said) in list(raters).iter().enumerate() {
                let said = list(said).iter().take(if only_first { 1 } else { usize::MAX });
                labels.extend(said.map(|category| Label { item, rater, category: count(category) as usize - 1 }));
            }
        }
        labels
    };
    for smoothing in ["0.0", "0.01", "1.0"] {
        let expected = &case[smoothing];
        let settings = DawidSkene { smoothing: smoothing.parse().unwrap(), tolerance: 0.0, max_rounds: 5_000 };
        let found = settings.estimate(&labels(false), 4).unwrap();
        // The packages stop at a change of 1e-8 or so: what follows moves the sixth digit.
        for (prior, expected) in found.prior.iter().zip(numbers(&expected["prior"])) {
            assert!((prior - expected).abs() < 1e-5, "{smoothing}: {prior} {expected}");
        }
        close(found.log_likelihood, number(&expected["loglik"]), TOLERANCE, &smoothing);
        assert_eq!(most_likely(&found), list(&expected["labels"]).iter().map(count).collect::<Vec<_>>());
        for (item, shares) in entries(&expected["posterior"]) {
            let item: usize = item.parse().unwrap();
            for (share, expected) in found.posteriors[item - 1].iter().zip(numbers(shares)) {
                assert!((share - expected).abs() < 1e-4, "{smoothing} {item}: {share} {expected}");
            }
        }
        for (accuracy, expected) in found.accuracies.iter().zip(numbers(&expected["observer_accuracy"])) {
            assert!((accuracy - expected).abs() < 1e-5, "{smoothing}: {accuracy} {expected}");
        }
    }
    let single = DawidSkene { smoothing: 0.0, ..DawidSkene::default() }.estimate(&labels(true), 4).unwrap();
    close(single.log_likelihood, number(&case["single"]["loglik"]), TOLERANCE, &"single");
    assert_eq!(most_likely(&single), list(&case["single"]["labels"]).iter().map(count).collect::<Vec<_>>());
}

#[test]
fn dawid_and_skene_and_the_majority_agree_on_all_of_pandalm() {
    let reference = reference();
    let case = &reference["pandalm"];
    let items = pandalm(case);
    let labels: Vec<_> = items
        .iter()
        .enumerate()
        .flat_map(|(item, said)| {
            said[..3].iter().enumerate().map(move |(rater, category)| (item, rater, category.unwrap()))
        })
        .map(|(item, rater, category)| Label { item, rater, category })
        .collect();
    let found = DawidSkene { smoothing: 0.0, ..DawidSkene::default() }.estimate(&labels, 3).unwrap();
    for (prior, expected) in found.prior.iter().zip(numbers(&case["dawid_skene"]["prior"])) {
        assert!((prior - expected).abs() < 1e-5, "{prior} {expected}");
    }
    let by_majority = items.iter().map(|item| {
        let mut counts = [0; 3];
        item[..3].iter().flatten().for_each(|rating| counts[*rating] += 1);
        majority(&counts).unwrap() as u64 + 1
    });
    assert_eq!(most_likely(&found), by_majority.collect::<Vec<_>>());
}

/// Labelled counts, passes and items.
fn cell(counts: &Value) -> (Labelled, u64, u64) {
    let of = |name: &str| count(&counts[name]);
    let labelled =
        Labelled { both_pass: of("N11"), only_people: of("N10"), only_judge: of("N01"), both_fail: of("N00") };
    (labelled, of("T1"), of("n_test"))
}

fn repeated(counts: &[(f64, f64, u64)]) -> (Vec<f64>, Vec<f64>) {
    counts.iter().flat_map(|(y, f, times)| (0..*times).map(|_| (*y, *f))).unzip()
}

#[test]
fn corrected_rates_are_those_of_the_packages() {
    let reference = reference();
    let lees = &reference["calibration"]["lee2025_readme"];
    let labelled = Labelled { both_pass: 180, only_people: 20, only_judge: 60, both_fail: 140 };
    let found = lee(&labelled, 400, 1_000, 0.95).unwrap();
    close(found.estimate, number(&lees["theta"]), TOLERANCE, &"Lee");
    ends(&found.interval, &lees["ci"], TOLERANCE, &"Lee");
    assert_eq!(calibration_split(200, 0.4, 0.7, 0.9, 10).unwrap(), (136, 64));
    for case in list(&reference["calibration"]["cells"]) {
        let (labelled, passed, items) = cell(&case["counts"]);
        let Labelled { both_pass, only_people, only_judge, both_fail } = labelled;
        let people = wilson(labelled.good(), labelled.items(), 0.95).unwrap();
        ends(&people, &case["human_only"]["ci_wilson"], TOLERANCE, &case["counts"]);
        let j = labelled.sensitivity() + labelled.specificity() - 1.0;
        if j > 0.0 {
            let delta = rogan_gladen(&labelled, passed, items, 0.95).unwrap();
            let expected = &case["rogan_gladen_delta"];
            close(delta.estimate, number(&expected["theta"]).clamp(0.0, 1.0), TOLERANCE, &case["counts"]);
            close(delta.standard_error.unwrap(), number(&expected["se"]), TOLERANCE, &case["counts"]);
            ends(&delta.interval, &expected["ci"], TOLERANCE, &case["counts"]);
            let adjusted = lee(&labelled, passed, items, 0.95);
            match adjusted {
                Ok(adjusted) => ends(&adjusted.interval, &case["lee2025"]["ci"], TOLERANCE, &case["counts"]),
                Err(_) => assert!(j < 0.1, "{}", case["counts"]),
            }
        } else {
            assert!(
                lee(&labelled, passed, items, 0.95).is_err() && rogan_gladen(&labelled, passed, items, 0.95).is_err()
            );
        }
        let (y, f) =
            repeated(&[(1.0, 1.0, both_pass), (1.0, 0.0, only_people), (0.0, 1.0, only_judge), (0.0, 0.0, both_fail)]);
        let (_, others) = repeated(&[(0.0, 1.0, passed), (0.0, 0.0, items - passed)]);
        let ppi = ppi_plus_plus(&y, &f, &others, 1.0, 0.95).unwrap();
        let expected = &case["ppi_pp"];
        close(ppi.lambda, number(&expected["lam"]), TOLERANCE, &case["counts"]);
        close(ppi.corrected.estimate, number(&expected["theta"]), TOLERANCE, &case["counts"]);
        ends(&ppi.corrected.interval, &expected["ci"], TOLERANCE, &case["counts"]);
        // The efficient estimator has the same strata: near it, and as wide.
        let strata = strata(&labelled, passed, items);
        let found = post_stratified(&strata, calibration::Weights::Population, 1.0, 0.95).unwrap();
        let efficient = &case["eif_poststrat"];
        assert!((found.estimate - number(&efficient["theta"])).abs() < 0.01, "{found:?} {}", case["counts"]);
        let logit = numbers(&efficient["ci_logit"]);
        assert!((found.interval.width() / (logit[1] - logit[0]) - 1.0).abs() < 0.1, "{found:?} {}", case["counts"]);
    }
}

fn strata(labelled: &Labelled, passed: u64, items: u64) -> [Stratum; 2] {
    let Labelled { both_pass, only_people, only_judge, both_fail } = *labelled;
    [
        Stratum { items: passed, labelled: both_pass + only_judge, passed: both_pass as f64 },
        Stratum { items: items - passed, labelled: only_people + both_fail, passed: only_people as f64 },
    ]
}

/// The quantiles are those of 60 million draws with Python's NumPy, whose own error is below 3e-5.
#[test]
fn post_stratified_jeffreys_is_what_many_draws_give() {
    let reference = reference();
    for case in list(&reference["calibration"]["jeffreys"]) {
        let [n11, n10, n01, n00, passed, items] = list(&case["counts"]).iter().map(count).collect::<Vec<_>>()[..]
        else {
            panic!("six counts")
        };
        let labelled = Labelled { both_pass: n11, only_people: n10, only_judge: n01, both_fail: n00 };
        let mut strata = strata(&labelled, passed, items);
        for _ in 0..2 {
            let found = post_stratified(&strata, calibration::Weights::Population, 1.0, 0.95).unwrap();
            let quantiles = [found.interval.lower, found.estimate, found.interval.upper];
            for (quantile, expected) in quantiles.into_iter().zip(numbers(&case["quantiles"])) {
                assert!((quantile - expected).abs() < 1e-4, "{quantile} {expected} {}", case["counts"]);
            }
            strata.reverse();
        }
    }
}
