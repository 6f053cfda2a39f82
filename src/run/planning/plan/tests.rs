//! Tests of the plan.

use std::collections::HashSet;

use super::*;
use crate::feedback::log::OpenLog;
use crate::feedback::{ErrorCode, Feedback, FeedbackError};
use crate::judge::Question;
use crate::run::setup::questions::LaneIndex;

fn question(prompt: &str) -> Question {
    let text = format!("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{prompt} {{{{ outputs }}}}\"\n");
    Question::new(Judge::compile("j", &text, "j").unwrap(), &"e:/m".parse().unwrap(), &serde_json::Map::new())
}

fn questions(all: Vec<Question>) -> Questions {
    Questions::new(all.into_iter().map(|question| (question, LaneIndex::new(0))).collect())
}

fn trace() -> Trace {
    Trace { trace_id: "t".into(), outputs: Some("out".into()), ..Trace::default() }
}

fn id(prompt: &str) -> AssessmentId {
    question(prompt).judgment(&trace()).unwrap().id
}

/// The record of the judgment with this prompt.
fn record(prompt: &str, verdict: Option<bool>) -> Feedback {
    let error_code = ErrorCode::Timeout.into();
    Feedback {
        assessment_id: Some(id(prompt).to_string()),
        name: "j".into(),
        value: verdict.map(Into::into),
        error: verdict.is_none().then_some(FeedbackError { error_code, error_message: None, stack_trace: None }),
        source: Source::llm_judge("e:/m"),
        create_time_ms: 7,
        trace_id: Some("t".into()),
        ..Feedback::default()
    }
}

/// The plan for the trace when the log has these records and the judge has this prompt.
fn item(log: &[Feedback], prompt: &str) -> Action {
    item_with(log, Vec::new(), prompt)
}

/// The same with other runs' logs.
fn item_with(log: &[Feedback], reuse: Vec<ReuseLog>, prompt: &str) -> Action {
    planned(&Scope::All, log, reuse, prompt).0.unwrap()
}

fn item_within(scope: &Scope, log: &[Feedback], prompt: &str) -> (Option<Action>, u64) {
    planned(scope, log, Vec::new(), prompt)
}

fn index(log: &[Feedback]) -> Index {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.jsonl");
    let text: String = log.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect();
    std::fs::write(&path, text).unwrap();
    OpenLog::read_index(&path).unwrap()
}

fn planned(scope: &Scope, log: &[Feedback], reuse: Vec<ReuseLog>, prompt: &str) -> (Option<Action>, u64) {
    let index = index(log);
    let planner = Planner::new(
        questions(vec![question(prompt)]),
        Arc::new(Known { index, reuse, failures: None }),
        scope,
        |_| true,
    );
    let (mut items, failures) = planner.items(&trace());
    (items.pop().map(|item| item.action), failures)
}

#[test]
fn a_changed_judgment_still_overrides_the_old_opinion_when_its_first_attempt_failed() {
    let asked = |log: &[Feedback]| match item(log, "new") {
        Action::Ask { history, .. } => (history.overrides, history.create_time_ms),
        other => panic!("{other:?}"),
    };
    let old = record("old", Some(true));
    assert_eq!(asked(&[]), (None, None));
    assert_eq!(asked(std::slice::from_ref(&old)), (Some(id("old")), None));
    assert_eq!(asked(&[old, record("new", None)]), (Some(id("old")), Some(7)));
    assert_eq!(asked(&[record("new", None)]), (None, Some(7)));
}

#[test]
fn going_back_to_an_earlier_prompt_makes_its_verdict_hold_again() {
    let (one, two) = (record("one", Some(true)), record("two", Some(false)));
    let back = item(&[one.clone(), two.clone()], "one");
    let Action::Reinstate { standing, offset: 0, overrides } = back else { panic!("{back:?}") };
    assert_eq!((standing, overrides), (Standing::Number(1.0), id("two")));
    assert!(matches!(item(&[one.clone(), two.clone(), one.clone()], "one"), Action::Count(Settled::Kept(_))));
    assert!(matches!(item(&[one, two], "two"), Action::Count(Settled::Kept(_))));
}
#[test]
fn another_logs_verdict_is_taken_over_where_the_own_log_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let log = |name: &str, record: &Feedback| {
        let path = folder.path().join(name);
        std::fs::write(&path, serde_json::to_string(record).unwrap()).unwrap();
        path
    };
    let old = Feedback { overrides: Some(id("zero").to_string()), ..record("one", Some(true)) };
    let invalid = Feedback { valid: Some(false), ..old.clone() };
    let paths = [
        log("failed.jsonl", &record("one", None)),
        log("invalid.jsonl", &invalid),
        log("old.jsonl", &old),
        log("same.jsonl", &old),
    ];
    let reuse = || paths.iter().map(|path| ReuseLog::open(path).unwrap()).collect::<Vec<_>>();
    let reused = |own: &[Feedback]| match item_with(own, reuse(), "one") {
        Action::Reuse(feedback) => *feedback,
        other => panic!("{other:?}"),
    };
    let taken = reused(&[]);
    assert!(taken.last_update_time_ms > 7);
    let from = [("reused_from".to_owned(), "old.jsonl".to_owned())].into();
    let expected =
        Feedback { metadata: from, last_update_time_ms: taken.last_update_time_ms, ..record("one", Some(true)) };
    assert_eq!(taken, expected);
    let failed = Feedback { create_time_ms: 5, ..record("one", None) };
    assert_eq!(reused(&[failed]).create_time_ms, 5, "the failure was first");
    assert_eq!(reused(&[record("two", Some(false))]).overrides, Some(id("two").to_string()));
    let kept = item_with(&[record("one", Some(false))], reuse(), "one");
    assert!(matches!(kept, Action::Count(Settled::Kept(Standing::Number(0.0)))), "{kept:?}");
    assert!(matches!(item_with(&[], reuse(), "other"), Action::Ask { .. }));
}

#[test]
fn where_only_failures_are_asked_everything_else_is_told_apart_and_left() {
    let shown = |only: Option<ErrorCode>, log: &[Feedback]| {
        let scope = Scope::Failures(FailureScope { only: only.map(|code| [code].into()), ..FailureScope::default() });
        match item_within(&scope, log, "one") {
            (Some(Action::Ask { history, .. }), n) => format!("ask {:?} {n}", history.create_time_ms),
            (Some(Action::Count(Settled::Kept(_))), n) => format!("kept {n}"),
            (Some(Action::Count(Settled::Missing)), n) => format!("missing {n}"),
            (Some(Action::Count(Settled::Unmatched(_))), n) => format!("unmatched {n}"),
            (other, _) => format!("{other:?}"),
        }
    };
    let (failed, judged, other) = (record("one", None), record("one", Some(true)), record("two", None));
    assert_eq!(shown(None, &[]), "missing 0");
    assert_eq!(shown(None, std::slice::from_ref(&failed)), "ask Some(7) 1");
    assert_eq!(shown(Some(ErrorCode::Timeout), std::slice::from_ref(&failed)), "ask Some(7) 1");
    assert_eq!(shown(Some(ErrorCode::Refused), std::slice::from_ref(&failed)), "kept 0");
    assert_eq!(shown(None, &[failed, judged]), "kept 0");
    assert_eq!(shown(None, &[other]), "unmatched 1");
}

#[test]
fn a_verdict_that_was_marked_invalid_is_asked_again_only_on_wish() {
    let mark = |record: &Feedback| Feedback { valid: Some(false), ..record.clone() };
    let (judged, other) = (record("one", Some(true)), record("two", Some(true)));
    let marked = [judged.clone(), mark(&judged)];
    let kept = |item: Option<Action>| matches!(item, Some(Action::Count(Settled::Kept(Standing::Rejected { .. }))));
    assert!(kept(Some(item(&marked, "one"))));
    let scope = |invalid| Scope::Failures(FailureScope { invalid, ..FailureScope::default() });
    assert!(kept(item_within(&scope(false), &marked, "one").0));
    let history = |item: Option<Action>| match item {
        Some(Action::Ask { history, .. }) => (history.overrides, history.create_time_ms),
        other => panic!("{other:?}"),
    };
    assert_eq!(history(item_within(&scope(true), &marked, "one").0), (None, Some(7)));
    let (unmatched, n) = item_within(&scope(true), &marked, "two");
    assert!(matches!(unmatched, Some(Action::Count(Settled::Unmatched(_)))) && n == 1, "{unmatched:?}");
    // What it had overridden it overrides again.
    let changed = [judged.clone(), other.clone(), mark(&other)];
    assert_eq!(history(item_within(&scope(true), &changed, "two").0), (Some(id("one")), Some(7)));
    // A mark on a superseded verdict means nothing: MLflow marks all that is overridden.
    let old = [judged.clone(), other, mark(&judged)];
    assert!(matches!(item(&old, "two"), Action::Count(Settled::Kept(Standing::Number(1.0)))));
    assert!(matches!(item(&old, "one"), Action::Reinstate { standing: Standing::Number(1.0), .. }));
    // Once asked again, it is a verdict like any other.
    let asked_again = [marked.as_slice(), &[judged]].concat();
    assert!(matches!(item(&asked_again, "one"), Action::Count(Settled::Kept(Standing::Number(1.0)))));
}

#[test]
fn another_model_is_asked_what_the_first_one_failed_at() {
    let scope = Scope::Failures(FailureScope { of: vec!["e:/old".into()], ..FailureScope::default() });
    let by_old = |feedback: Feedback| Feedback { source: Source::llm_judge("e:/old"), ..feedback };
    let (failed, judged) = (by_old(record("one", None)), by_old(record("one", Some(true))));
    let (asked, failures) = item_within(&scope, std::slice::from_ref(&failed), "one");
    assert!(matches!(asked, Some(Action::Ask { .. })) && failures == 1, "{asked:?}");
    assert!(matches!(item_within(&scope, std::slice::from_ref(&judged), "one"), (None, 0)));
    let by_new = record("one", Some(true));
    assert!(matches!(item_within(&scope, &[failed, by_new], "one"), (Some(Action::Count(Settled::Kept(_))), 1)));
}

/// A judge on two models, and on the first of them three times.
fn same_judge_four_times(prompt: &str) -> Questions {
    let judge = Arc::clone(&question(prompt).judge);
    let on = |model: &str| Question::new(Arc::clone(&judge), &model.parse().unwrap(), &serde_json::Map::new());
    questions(vec![on("e:/m"), on("e:/m").with_sample(1), on("e:/m").with_sample(2), on("e:/other")])
}

#[test]
fn the_same_judge_on_two_models_and_three_times_on_one_gives_four_opinions() {
    let plan = |log: &[Feedback], prompt: &str| -> Vec<Action> {
        let known = Arc::new(Known { index: index(log), reuse: Vec::new(), failures: None });
        let planner = Planner::new(same_judge_four_times(prompt), known, &Scope::All, |_| true);
        let (items, _) = planner.items(&trace());
        assert_eq!(items.iter().map(|item| item.question.place()).collect::<Vec<_>>(), [0, 1, 2, 3]);
        items.into_iter().map(|item| item.action).collect()
    };
    let asked = |action: &Action| match action {
        Action::Ask { judgment, history, .. } => (judgment.id, history.overrides),
        other => panic!("{other:?}"),
    };
    let fresh: Vec<_> = plan(&[], "one").iter().map(asked).collect();
    let ids: HashSet<_> = fresh.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(fresh[0].0, id("one"), "the first sample is the judgment that it always was");

    // As the run writes them.
    let all = same_judge_four_times("one");
    let log: Vec<_> = all
        .iter()
        .map(|(_, question)| {
            let judgment = question.judgment(&trace()).unwrap();
            let Feedback { metadata, .. } = record::of_input_error(
                question,
                "run",
                crate::judge::NotAskable {
                    id: judgment.id,
                    subject: judgment.subject.clone(),
                    error: crate::judge::prompt::RenderError::TooLong { tokens: 1, allowed: 1 },
                },
            );
            let source = Source::llm_judge(question.source_id.clone());
            Feedback {
                assessment_id: Some(judgment.id.to_string()),
                metadata,
                source,
                ..record("one", Some(question.key().sample != 1))
            }
        })
        .collect();
    let kept = |actions: &[Action]| -> Vec<f64> {
        let number = |action: &Action| match action {
            Action::Count(Settled::Kept(Standing::Number(n))) => *n,
            other => panic!("{other:?}"),
        };
        actions.iter().map(number).collect()
    };
    assert_eq!(kept(&plan(&log, "one")), [1.0, 0.0, 1.0, 1.0]);
    assert_eq!(kept(&plan(&log.iter().rev().cloned().collect::<Vec<_>>(), "one")), [1.0, 0.0, 1.0, 1.0]);
    // One of them alone is missing.
    let without_second = [log[0].clone(), log[2].clone(), log[3].clone()];
    let actions = plan(&without_second, "one");
    assert_eq!(asked(&actions[1]), (fresh[1].0, None), "another sample is not an earlier opinion");
    // A changed prompt overrides each opinion by its own successor.
    for (action, (old, _)) in plan(&log, "two").iter().zip(&fresh) {
        assert_eq!(asked(action).1, Some(*old));
    }
}

#[test]
fn what_failed_again_a_moment_ago_is_left_alone() {
    let failed = record("one", None);
    let except = [OpinionKey::new(Some("t"), None, "j", &Source::llm_judge("e:/m"))].into();
    let scope = Scope::Failures(FailureScope { except, ..FailureScope::default() });
    assert!(matches!(item_within(&scope, std::slice::from_ref(&failed), "one"), (None, 0)));
}
