//! `ranking.json`: figures of the Bradley-Terry model that were computed independently of this crate (NumPy, checked against choix 0.4.1 and
//! scikit-learn), with their comparisons: 999 by people, of five models on 170 instructions.
//!
//! The comparisons are the majority of three annotators of PandaLM's test set (WeOpenML/PandaLM at 3871806e, Apache-2.0).

use judge_run_statistics::ranking::{Battle, bradley_terry};
use serde_json::Value;

use crate::{close, count, list, number, numbers};

fn section(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("ranking.json")).unwrap();
    all[name].clone()
}

/// Rows of the cluster, the two candidates, the doubled score of the first, and how often.
fn battles(section: &Value) -> Vec<Battle> {
    let row = |row: &Value| {
        let [cluster, first, second, doubled, n] = [0, 1, 2, 3, 4].map(|i| count(&list(row)[i]));
        let (first, second) = (first as usize, second as usize);
        vec![Battle { first, second, score: doubled as f64 / 2.0, cluster }; n as usize]
    };
    list(&section["battles"]).iter().flat_map(row).collect()
}

#[test]
fn the_strengths_of_three() {
    let expected = section("small");
    let mut battles = battles(&expected);
    // The comparisons are independent.
    battles.iter_mut().zip(0..).for_each(|(battle, n)| battle.cluster = n);
    let fit = bradley_terry(3, &battles).unwrap();
    for (candidate, strength) in numbers(&expected["theta"]).into_iter().enumerate() {
        close(fit.strengths[candidate], strength, 1e-8, &candidate);
    }
    for (candidate, error) in numbers(&expected["se"]).into_iter().enumerate() {
        close(fit.standard_error(candidate), error, 1e-8, &candidate);
    }
    close(fit.win_probability(0, 1), number(&expected["p_first_beats_second"]), 1e-8, &"A beats B");
}

#[test]
fn the_strengths_of_five_models_by_people() {
    let expected = section("pandalm");
    let battles = battles(&expected);
    let fit = bradley_terry(5, &battles).unwrap();
    assert_eq!((battles.len(), fit.clusters, fit.is_separated), (999, 170, false));
    let [theta, elo, errors] = ["theta", "elo", "se"].map(|name| numbers(&expected[name]));
    for candidate in 0..5 {
        close(fit.strengths[candidate], theta[candidate], 1e-8, &candidate);
        close(fit.elo(candidate), elo[candidate], 1e-8, &candidate);
        close(fit.standard_error(candidate), errors[candidate], 1e-8, &candidate);
    }
}
