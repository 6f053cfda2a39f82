//! What becomes of a trace, a span or a session: a judgment, or nothing, because of what the log already has.

use std::sync::Arc;

use super::passed_over::PassOver;
use super::record::{self, History};
use super::settings::Scope;
use crate::feedback::log::{Index, OpinionKey, ReuseLog, Seen, Standing};
use crate::feedback::{AssessmentId, Feedback, Source};
use crate::judge::{Judge, Judgment, NotAskable, Question, Selected, Subject, SubjectIds, Unit};
use crate::trace::{Session, Trace};

/// What one judge makes of a trace, span or session.
#[derive(Debug)]
pub(super) enum Item {
    Ask {
        judgment: Judgment,
        history: History,
    },
    NotAskable {
        question: usize,
        subject: SubjectIds,
        not_askable: NotAskable,
    },
    Kept {
        question: usize,
        standing: Standing,
    },
    /// Kept too, but what it overrides was given to a prompt, trace or parameter that is not asked any more.
    KeptAgain {
        question: usize,
        standing: Standing,
        offset: u64,
        overrides: AssessmentId,
    },
    /// The log has no verdict, and another run's has.
    Reused {
        question: usize,
        feedback: Box<Feedback>,
    },
    /// Not in the log, and only failures are asked.
    Missing {
        question: usize,
    },
    /// A failure of another prompt, trace or parameter, and only failures are asked.
    Unmatched {
        question: usize,
        standing: Standing,
    },
    /// There is nothing that the judge judges.
    PassedOver {
        question: usize,
        what: PassOver,
    },
}

impl Item {
    pub(super) fn question(&self) -> usize {
        match self {
            Self::Ask { judgment, .. } => judgment.question,
            Self::NotAskable { question, .. }
            | Self::Kept { question, .. }
            | Self::KeptAgain { question, .. }
            | Self::Missing { question }
            | Self::Unmatched { question, .. }
            | Self::PassedOver { question, .. }
            | Self::Reused { question, .. } => *question,
        }
    }

    /// Whether nothing is to be done but to count it.
    pub(super) fn is_counted_only(&self) -> bool {
        match self {
            Self::Ask { .. } | Self::NotAskable { .. } | Self::KeptAgain { .. } | Self::Reused { .. } => false,
            Self::Kept { .. } | Self::Missing { .. } | Self::Unmatched { .. } | Self::PassedOver { .. } => true,
        }
    }

    /// What it holds of the trace.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Ask { judgment, .. } => judgment.request.user.len() + judgment.request.image_bytes(),
            Self::Reused { feedback, .. } => feedback.rationale.as_ref().map_or(0, String::len),
            Self::NotAskable { .. }
            | Self::Kept { .. }
            | Self::KeptAgain { .. }
            | Self::Missing { .. }
            | Self::Unmatched { .. }
            | Self::PassedOver { .. } => 0,
        }
    }
}

/// Turns traces into judgments.
pub(super) struct Planner {
    questions: Arc<[Question]>,
    asked: Vec<Asked>,
    scope: Scope,
    known: Arc<Known>,
}

/// What was judged before.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// In the run's own log.
    pub index: Index,
    /// In others'.
    pub reuse: Vec<ReuseLog>,
}

/// Which of the questions, and whose opinions it is about.
struct Asked {
    question: usize,
    source: Source,
    /// The source whose failures are asked, if it is another one.
    failed: Option<Source>,
}

impl Planner {
    pub(super) fn new(
        questions: Arc<[Question]>,
        known: Arc<Known>,
        scope: &Scope,
        is_asked: impl Fn(usize) -> bool,
    ) -> Self {
        let failed = |i: usize, own: &str| match scope {
            Scope::Failures { of, .. } => of.get(i).filter(|failed| *failed != own).cloned().map(Source::llm_judge),
            Scope::All => None,
        };
        let asked =
            questions.iter().enumerate().filter(|(question, _)| is_asked(*question)).map(|(i, question)| Asked {
                question: i,
                source: Source::llm_judge(question.source_id.clone()),
                failed: failed(i, &question.source_id),
            });
        let asked = asked.collect();
        Self { questions, asked, scope: scope.clone(), known }
    }

    fn judge(&self, asked: &Asked) -> &Judge {
        &self.questions[asked.question].judge
    }

    /// Whether a judge of sessions takes part here.
    pub(super) fn judges_sessions(&self) -> bool {
        self.asked.iter().any(|asked| self.judge(asked).select.unit() == Unit::Session)
    }

    /// Whether a judge of traces or spans takes part in the run.
    pub(super) fn judges_traces(&self) -> bool {
        self.questions.iter().any(|question| question.judge.select.unit() != Unit::Session)
    }

    /// What becomes of a trace and its spans, and how many failures they have that the run is about.
    pub(super) fn items(&self, trace: &Trace) -> (Vec<Item>, u64) {
        let (mut items, mut failures) = (Vec::with_capacity(self.asked.len()), 0);
        for asked in &self.asked {
            let mut pass_over = |what| items.push(Item::PassedOver { question: asked.question, what });
            match self.judge(asked).select.unit() {
                Unit::Trace => items.extend(self.item_in_scope(asked, trace.into(), &mut failures)),
                Unit::Session if trace.session().is_none() => pass_over(PassOver::without_session()),
                Unit::Session => {}
                Unit::Span => {
                    let Selected { spans, repeated } = self.judge(asked).select.spans(trace);
                    if spans.is_empty() {
                        pass_over(PassOver::without_span(trace));
                    }
                    if repeated > 0 {
                        pass_over(PassOver::RepeatedSpans(repeated));
                    }
                    for span in spans {
                        items.extend(self.item_in_scope(asked, Subject::Span { trace, span }, &mut failures));
                    }
                }
            }
        }
        (items, failures)
    }

    /// What becomes of a session, and how many failures it has that the run is about.
    pub(super) fn items_of_session(&self, session: &Session) -> (Vec<Item>, u64) {
        let mut failures = 0;
        let items = self.asked_of_sessions();
        let items = items.filter_map(|asked| self.item_in_scope(asked, session.into(), &mut failures)).collect();
        (items, failures)
    }

    /// What becomes of a session that the run is not about.
    pub(super) fn session_left_out(&self) -> Vec<Item> {
        let passed_over = |asked: &Asked| Item::PassedOver { question: asked.question, what: PassOver::Session };
        self.asked_of_sessions().map(passed_over).collect()
    }

    fn asked_of_sessions(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(|asked| self.judge(asked).select.unit() == Unit::Session)
    }

    fn item_in_scope(&self, asked: &Asked, subject: Subject<'_>, failures: &mut u64) -> Option<Item> {
        match self.scope {
            Scope::All => Some(self.item(asked, subject, None)),
            Scope::Failures { .. } => self.item_of_failure(asked, subject, failures),
        }
    }

    fn opinion(&self, asked: &Asked, source: &Source, subject: Subject<'_>) -> OpinionKey {
        OpinionKey::new(Some(&subject.trace().trace_id), subject.span_id(), &self.judge(asked).name, source)
    }

    /// The same where only failures are asked. The log is asked first: rendering is the dear part.
    fn item_of_failure(&self, asked: &Asked, subject: Subject<'_>, failures: &mut u64) -> Option<Item> {
        let question = asked.question;
        let source = asked.failed.as_ref().unwrap_or(&asked.source);
        let Some(standing) = self.known.index.latest(self.opinion(asked, source, subject)) else {
            return Some(Item::Missing { question });
        };
        match standing {
            standing if self.scope.asks_again(standing) => {
                *failures += 1;
                Some(self.item(asked, subject, Some(standing).filter(|_| asked.failed.is_none())))
            }
            // What another source says is no answer to this question.
            _ => asked.failed.is_none().then_some(Item::Kept { question, standing }),
        }
    }

    /// `failure` is the only failure that may be asked, if there is such a restriction.
    fn item(&self, asked: &Asked, subject: Subject<'_>, failure: Option<Standing>) -> Item {
        let question = asked.question;
        let opinion = self.opinion(asked, &asked.source, subject);
        let look_up = |id: AssessmentId| self.known.index.look_up(opinion, id);
        let judgment = match self.questions[question].judgment(question, subject) {
            Ok(judgment) => judgment,
            Err(not_askable) => {
                return match (look_up(not_askable.id), failure) {
                    (Seen::Judged { standing, .. }, _) => Item::Kept { question, standing },
                    (_, Some(standing)) => Item::Unmatched { question, standing },
                    // Another failure's id is never that of a verdict.
                    (Seen::New | Seen::Changed { .. } | Seen::Overridden { .. }, None) => {
                        Item::NotAskable { question, subject: subject.ids(), not_askable }
                    }
                };
            }
        };
        let seen = look_up(judgment.id);
        if failure.is_none()
            && let Some(feedback) = self.reused(opinion, judgment.id, seen)
        {
            return Item::Reused { question, feedback: Box::new(feedback) };
        }
        let history = match (seen, failure) {
            (Seen::New | Seen::Changed { .. }, Some(standing)) => return Item::Unmatched { question, standing },
            (Seen::New, None) => History::default(),
            (Seen::Changed { overrides }, None) => History { overrides: Some(overrides), create_time_ms: None },
            (
                Seen::Judged {
                    standing:
                        standing @ (Standing::Failed { create_time_ms, .. } | Standing::Invalid { create_time_ms }),
                    overrides,
                },
                _,
            ) if self.scope.asks_again(standing) => History { overrides, create_time_ms: Some(create_time_ms) },
            // It held no more when it was marked invalid, and is wanted again.
            (Seen::Overridden { standing: Standing::Invalid { create_time_ms }, by, .. }, _) => {
                History { overrides: Some(by), create_time_ms: Some(create_time_ms) }
            }
            (Seen::Judged { standing, .. }, _) => return Item::Kept { question, standing },
            (Seen::Overridden { standing, offset, by }, _) => {
                return Item::KeptAgain { question, standing, offset, overrides: by };
            }
        };
        Item::Ask { judgment, history }
    }

    /// The verdict of another run's log, as it goes to this run's, which has none.
    fn reused(&self, opinion: OpinionKey, id: AssessmentId, seen: Seen) -> Option<Feedback> {
        let (overrides, create_time_ms) = match seen {
            Seen::New => (None, None),
            Seen::Changed { overrides } => (Some(overrides), None),
            Seen::Judged { standing: Standing::Failed { create_time_ms, .. }, overrides } => {
                (overrides, Some(create_time_ms))
            }
            Seen::Overridden { standing: Standing::Invalid { create_time_ms }, by, .. } => {
                (Some(by), Some(create_time_ms))
            }
            Seen::Judged { .. } | Seen::Overridden { .. } => return None,
        };
        let found = |log: &ReuseLog| log.verdict(opinion, id).map(|feedback| (log.name(), feedback));
        let (name, mut feedback) = self.known.reuse.iter().find_map(found)?;
        feedback.metadata.insert("reused_from".to_owned(), name);
        Some(Feedback {
            overrides: overrides.map(|id| id.to_string()),
            valid: None,
            create_time_ms: create_time_ms.unwrap_or(feedback.create_time_ms),
            last_update_time_ms: record::now_ms(),
            ..feedback
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::log::OpenLog;
    use crate::feedback::{ErrorCode, Feedback, FeedbackError};
    use crate::judge::Judge;

    fn question(prompt: &str) -> Question {
        let text = format!("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{prompt} {{{{ outputs }}}}\"\n");
        Question::new(Judge::compile("j", &text, "j").unwrap(), &"e:/m".parse().unwrap(), &serde_json::Map::new())
    }

    fn trace() -> Trace {
        Trace { trace_id: "t".into(), outputs: Some("out".into()), ..Trace::default() }
    }

    fn id(prompt: &str) -> AssessmentId {
        question(prompt).judgment(0, &trace()).unwrap().id
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

    /// What becomes of the trace when the log holds these records and the judge has this prompt.
    fn item(log: &[Feedback], prompt: &str) -> Item {
        item_with(log, Vec::new(), prompt)
    }

    /// The same with other runs' logs.
    fn item_with(log: &[Feedback], reuse: Vec<ReuseLog>, prompt: &str) -> Item {
        planned(&Scope::All, log, reuse, prompt).0.unwrap()
    }

    fn item_within(scope: &Scope, log: &[Feedback], prompt: &str) -> (Option<Item>, u64) {
        planned(scope, log, Vec::new(), prompt)
    }

    fn planned(scope: &Scope, log: &[Feedback], reuse: Vec<ReuseLog>, prompt: &str) -> (Option<Item>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        let text: String = log.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect();
        std::fs::write(&path, text).unwrap();
        let index = OpenLog::read_index(&path).unwrap();
        let planner = Planner::new(Arc::new([question(prompt)]), Arc::new(Known { index, reuse }), scope, |_| true);
        let (mut items, failures) = planner.items(&trace());
        (items.pop(), failures)
    }

    #[test]
    fn a_changed_judgment_still_overrides_the_old_opinion_when_its_first_attempt_failed() {
        let asked = |log: &[Feedback]| match item(log, "new") {
            Item::Ask { history, .. } => (history.overrides, history.create_time_ms),
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
        let Item::KeptAgain { standing, offset: 0, overrides, .. } = back else { panic!("{back:?}") };
        assert_eq!((standing, overrides), (Standing::Number(1.0), id("two")));
        assert!(matches!(item(&[one.clone(), two.clone(), one.clone()], "one"), Item::Kept { .. }));
        assert!(matches!(item(&[one, two], "two"), Item::Kept { .. }));
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
            Item::Reused { feedback, .. } => *feedback,
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
        assert!(matches!(kept, Item::Kept { standing: Standing::Number(0.0), .. }), "{kept:?}");
        assert!(matches!(item_with(&[], reuse(), "other"), Item::Ask { .. }));
    }

    #[test]
    fn where_only_failures_are_asked_everything_else_is_told_apart_and_left() {
        let shown = |only: Option<ErrorCode>, log: &[Feedback]| {
            let scope = Scope::Failures { only: only.map(|code| [code].into()), of: Vec::new(), invalid: false };
            match item_within(&scope, log, "one") {
                (Some(Item::Ask { history, .. }), n) => format!("ask {:?} {n}", history.create_time_ms),
                (Some(Item::Kept { .. }), n) => format!("kept {n}"),
                (Some(Item::Missing { .. }), n) => format!("missing {n}"),
                (Some(Item::Unmatched { .. }), n) => format!("unmatched {n}"),
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
        let kept = |item: Option<Item>| matches!(item, Some(Item::Kept { standing: Standing::Invalid { .. }, .. }));
        assert!(kept(Some(item(&marked, "one"))));
        let scope = |invalid| Scope::Failures { only: None, of: Vec::new(), invalid };
        assert!(kept(item_within(&scope(false), &marked, "one").0));
        let history = |item: Option<Item>| match item {
            Some(Item::Ask { history, .. }) => (history.overrides, history.create_time_ms),
            other => panic!("{other:?}"),
        };
        assert_eq!(history(item_within(&scope(true), &marked, "one").0), (None, Some(7)));
        let (unmatched, n) = item_within(&scope(true), &marked, "two");
        assert!(matches!(unmatched, Some(Item::Unmatched { .. })) && n == 1, "{unmatched:?}");
        // What it had overridden it overrides again.
        let changed = [judged.clone(), other.clone(), mark(&other)];
        assert_eq!(history(item_within(&scope(true), &changed, "two").0), (Some(id("one")), Some(7)));
        // An old opinion that is marked invalid changes nothing for the one that holds, but does not hold again either.
        let old = [judged.clone(), other, mark(&judged)];
        assert!(matches!(item(&old, "two"), Item::Kept { standing: Standing::Number(1.0), .. }));
        assert_eq!(history(Some(item(&old, "one"))), (Some(id("two")), Some(7)));
        // Once asked again, it is a verdict as any other.
        let mended = [marked.as_slice(), &[judged]].concat();
        assert!(matches!(item(&mended, "one"), Item::Kept { standing: Standing::Number(1.0), .. }));
    }

    #[test]
    fn another_model_is_asked_what_the_first_one_failed_at() {
        let scope = Scope::Failures { only: None, of: vec!["e:/old".into()], invalid: false };
        let by_old = |feedback: Feedback| Feedback { source: Source::llm_judge("e:/old"), ..feedback };
        let (failed, judged) = (by_old(record("one", None)), by_old(record("one", Some(true))));
        let (asked, failures) = item_within(&scope, std::slice::from_ref(&failed), "one");
        assert!(matches!(asked, Some(Item::Ask { .. })) && failures == 1, "{asked:?}");
        assert!(matches!(item_within(&scope, std::slice::from_ref(&judged), "one"), (None, 0)));
        let by_new = record("one", Some(true));
        assert!(matches!(item_within(&scope, &[failed, by_new], "one"), (Some(Item::Kept { .. }), 1)));
    }
}
