//! The same counts as in the statistics' own tests, through ratings.

use super::super::plan::Plan;
use super::super::ratings::{Rater, Rating, Said};
use super::*;
use crate::feedback::SourceType;

fn rating(rater: usize, said: Said, digest: &str) -> Rating {
    let digest = (rater == 0).then(|| digest.to_owned());
    Rating { rater, said, rationale: None, confidence: None, digest, is_example: false }
}

/// Items by what people (if they label it) and the judge say, and how many there are of each.
fn ratings(counts: &[(Option<Said>, Said, usize)]) -> Ratings {
    let mut ratings = Ratings {
        name: "j".into(),
        raters: vec![
            Rater { source_type: SourceType::LlmJudge, source_id: "m".into() },
            Rater { source_type: SourceType::Human, source_id: "anna".into() },
        ],
        ..Ratings::default()
    };
    for (people, judge, times) in counts {
        for _ in 0..*times {
            let number = ratings.items.len();
            let mut of_item = vec![rating(0, judge.clone(), "d1")];
            of_item.extend(people.clone().map(|said| rating(1, said, "")));
            ratings.items.push(Item {
                trace_id: format!("t{number}"),
                cluster: format!("t{number}"),
                ratings: of_item,
                ..Item::default()
            });
        }
    }
    ratings
}

fn said(value: bool) -> Said {
    Said::Boolean(value)
}

/// N11 = 45, N10 = 5, N01 = 8, N00 = 22; 700 of 1,000 pass.
fn example() -> Ratings {
    ratings(&[
        (Some(said(true)), said(true), 45),
        (Some(said(true)), said(false), 5),
        (Some(said(false)), said(true), 8),
        (Some(said(false)), said(false), 22),
        (None, said(true), 647),
        (None, said(false), 273),
    ])
}

fn settings(method: Method) -> Settings<'static> {
    Settings {
        judge: 0,
        people: vec![1],
        method,
        good: None,
        level: 0.95,
        width: 0.1,
        max_disagreement: None,
        plan: None,
        examples: BTreeSet::new(),
        elsewhere: None,
    }
}

#[track_caller]
fn near(got: f64, expected: f64, tolerance: f64) {
    assert!((got - expected).abs() < tolerance, "{got} is not {expected}");
}

#[test]
fn the_three_methods_give_the_published_figures() {
    let ratings = example();
    let of = |method| calibrate(&ratings, &settings(method)).unwrap();
    let jeffreys = of(Method::Jeffreys);
    assert_eq!((jeffreys.n, jeffreys.n_labelled, jeffreys.refused.clone()), (1_000, 80, None));
    near(jeffreys.naive.estimate, 0.7, 1e-12);
    near(jeffreys.naive.low, 0.6708761391, 1e-6);
    near(jeffreys.human_only.unwrap().low, 0.5154872546, 1e-6);
    let corrected = jeffreys.corrected.unwrap();
    near(corrected.low, 0.562314, 1e-4);
    near(corrected.estimate, 0.65001, 1e-4);
    near(corrected.high, 0.727177, 1e-4);
    assert!(jeffreys.adds_information && jeffreys.needs.unwrap().labels.unwrap() > 80);
    let transferred = of(Method::RoganGladen).corrected.unwrap();
    near(transferred.estimate, 0.6842105263, 1e-6);
    near(transferred.low, 0.5524846321, 1e-6);
    near(transferred.delta.unwrap().low, 0.5565121111, 1e-6);
    let powered = of(Method::PpiPlusPlus);
    near(powered.lambda.unwrap(), 0.6504626245, 0.02);
    near(powered.corrected.unwrap().estimate, 0.6493923484, 2e-3);
}

#[test]
fn a_judge_at_chance_or_of_another_version_is_refused() {
    let chance = ratings(&[
        (Some(said(true)), said(true), 10),
        (Some(said(true)), said(false), 10),
        (Some(said(false)), said(true), 10),
        (Some(said(false)), said(false), 10),
        (None, said(true), 100),
    ]);
    let found = calibrate(&chance, &settings(Method::Jeffreys)).unwrap();
    assert!(found.refused.is_some() && !found.adds_information);
    let corrected = found.corrected.unwrap();
    assert_eq!((corrected.method, corrected.estimate), ("human_only", 0.5));
    let mut changed = example();
    changed.items[3].ratings[0].digest = Some("d2".into());
    assert!(calibrate(&changed, &settings(Method::Jeffreys)).unwrap().refused.unwrap().contains("versions"));
    let plan = Plan {
        name: "j".into(),
        judge: "m".into(),
        digests: BTreeSet::from(["d0".to_owned()]),
        seed: 0,
        create_time_ms: 0,
        strata: Vec::new(),
        items: Vec::new(),
    };
    let planned =
        Plan::draw(&example(), &super::super::plan::Wish { judge: 0, good: None, labels: 1_000, seed: 0, now_ms: 0 })
            .unwrap();
    let plan = Plan { items: planned.items, ..plan };
    let ratings = example();
    let found = calibrate(&ratings, &Settings { plan: Some(&plan), ..settings(Method::Jeffreys) }).unwrap();
    assert!(found.refused.unwrap().contains("planned"));
}

#[test]
fn labels_that_wrote_the_judge_certify_nothing_and_labels_outside_the_plan_do_not_count() {
    let ratings = example();
    let examples = (0..10).map(|n| format!("t{n}")).collect();
    let found = calibrate(&ratings, &Settings { examples, ..settings(Method::Jeffreys) }).unwrap();
    assert_eq!((found.n_labelled, found.n_excluded), (70, 10));
    let wish = super::super::plan::Wish { judge: 0, good: None, labels: 500, seed: 3, now_ms: 0 };
    let plan = Plan::draw(&ratings, &wish).unwrap();
    let found = calibrate(&ratings, &Settings { plan: Some(&plan), ..settings(Method::Jeffreys) }).unwrap();
    assert!(found.n_labelled < 80 && found.n_labelled + found.n_excluded == 80, "{found:?}");
    assert!(found.warnings.iter().any(|warning| warning.code == "not_labelled"));
}

#[test]
fn numbers_need_ppi_and_labels_from_elsewhere_need_the_same_judge() {
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let number = |n: usize| Said::Number(1.0 + (n % 5) as f64);
    let counts: Vec<_> = (0..200).map(|n| ((n < 60).then(|| number(n)), number(n), 1)).collect();
    let ratings = ratings(&counts);
    let error = calibrate(&ratings, &settings(Method::Jeffreys)).unwrap_err();
    assert!(matches!(error, CalibrateError::NotGoodOrBad { .. }));
    let found = calibrate(&ratings, &settings(Method::PpiPlusPlus)).unwrap();
    near(found.corrected.unwrap().estimate, 3.0, 1e-9);
    let (here, mut there) = (example(), example());
    let refused = |there: &Ratings| {
        let settings = Settings { elsewhere: Some((there, 0, vec![1])), ..settings(Method::RoganGladen) };
        calibrate(&here, &settings).unwrap().refused
    };
    assert_eq!(refused(&there), None);
    there.items.iter_mut().for_each(|item| item.ratings[0].digest = Some("d9".into()));
    assert!(refused(&there).is_some());
}

#[test]
fn items_of_one_session_count_as_fewer() {
    let mut ratings = example();
    for (number, item) in ratings.items.iter_mut().enumerate() {
        item.cluster = format!("s{}", number / 20);
    }
    let found = calibrate(&ratings, &settings(Method::Jeffreys)).unwrap();
    assert!(found.design_effect > 1.5, "{}", found.design_effect);
    let apart = calibrate(&example(), &settings(Method::Jeffreys)).unwrap();
    let width = |found: Calibration| found.corrected.map(|rate| rate.high - rate.low).unwrap();
    assert!(width(found) > 1.1 * width(apart));
}

/// 120 confident verdicts, all but one shared by people, and 60 others, half of them shared; the same numbers again are not labelled.
fn with_confidence() -> Ratings {
    let mut ratings = ratings(&[
        (Some(said(true)), said(true), 79),
        (Some(said(false)), said(true), 1),
        (Some(said(false)), said(false), 40),
        (Some(said(true)), said(false), 30),
        (Some(said(false)), said(false), 30),
        (None, said(true), 120),
        (None, said(false), 60),
    ]);
    for (number, item) in ratings.items.iter_mut().enumerate() {
        let is_sure = number < 120 || (180..300).contains(&number);
        item.ratings[0].confidence = Some(if is_sure { 0.98765 } else { 0.6 });
    }
    ratings
}

#[test]
fn a_threshold_keeps_what_people_share() {
    let wanted = Settings { max_disagreement: Some(0.05), level: 0.9, ..settings(Method::Jeffreys) };
    let found = calibrate(&with_confidence(), &wanted).unwrap();
    let escalation = found.escalation.unwrap();
    assert_eq!((escalation.below, escalation.n_labelled), (Some(0.9876), 180), "never above the confidence itself");
    assert_eq!((escalation.n_kept, escalation.n_differing, escalation.n_without), (120, 1, 0));
    near(escalation.coverage, 240.0 / 360.0, 1e-12);
    // scipy.stats.beta.ppf(0.9, 2, 119)
    near(escalation.bound.unwrap(), 0.032_026_5, 1e-6);
    let strict = Settings { max_disagreement: Some(0.02), ..wanted.clone() };
    assert!(calibrate(&with_confidence(), &strict).unwrap().lacks_threshold());
    let mut unsure = with_confidence();
    unsure.items.iter_mut().for_each(|item| item.ratings[0].confidence = None);
    let escalation = calibrate(&unsure, &wanted).unwrap().escalation.unwrap();
    assert_eq!((escalation.below, escalation.n_labelled, escalation.n_without), (None, 0, 360));
}

#[test]
fn a_refused_judge_keeps_nothing() {
    let mut changed = with_confidence();
    changed.items[0].ratings[0].digest = Some("d2".into());
    let wanted = Settings { max_disagreement: Some(0.2), ..settings(Method::Jeffreys) };
    let found = calibrate(&changed, &wanted).unwrap();
    assert!(found.refused.is_some() && found.lacks_threshold());
}
