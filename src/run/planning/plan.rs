//! Turns a trace, a span, a session or a pair into a judgment, or into nothing, depending on what the log already has.

use std::sync::Arc;

use super::item::{Action, History, Item, Rider, Settled};
use super::skipped::SkipReason;
use crate::batch::BatchIds;
use crate::feedback::log::{Index, OpinionKey, ReuseLog, Seen, Standing};
use crate::feedback::{AssessmentId, Feedback, Source};
use crate::judge::redact::Redact;
use crate::judge::{Document, Judge, Judgment, Pair, Selected, Subject, Unit};
use crate::run::attempts::record;
use crate::run::setup::questions::{QuestionIndex, Questions};
use crate::run::setup::settings::{FailureScope, Scope};
use crate::run::setup::sides::{Compared, Sides};
use crate::trace::{Session, Trace};

/// Turns traces into judgments.
pub(in crate::run) struct Planner {
    questions: Questions,
    asked: Vec<Asked>,
    scope: Scope,
    known: Arc<Known>,
    makes: Makes,
    /// Whether criteria are asked together.
    has_rubrics: bool,
}

/// What was judged before.
#[derive(Debug, Default)]
pub(in crate::run) struct Known {
    /// In the run's own log.
    pub index: Index,
    /// In others'.
    pub reuse: Vec<ReuseLog>,
    /// Only these failures are asked again, if there is such a restriction.
    pub failures: Option<BatchIds>,
}

impl Known {
    fn may_ask(&self, failure: AssessmentId) -> bool {
        self.failures.as_ref().is_none_or(|only| only.contains(failure))
    }
}

/// How subjects are made of traces.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Makes {
    /// What judges do not see of them.
    pub redact: Option<Arc<Redact>>,
    /// Which of them are compared with each other.
    pub sides: Option<Arc<Sides>>,
}

/// Which of the questions, and whose opinions.
struct Asked {
    question: QuestionIndex,
    source: Source,
    /// The source whose failures are asked, if it is another one.
    failed: Option<Source>,
}

impl Asked {
    fn count(&self, settled: Settled) -> Item {
        Item { question: self.question, action: Action::Count(settled) }
    }
}

impl Planner {
    pub(in crate::run) fn new(
        questions: Questions,
        known: Arc<Known>,
        scope: &Scope,
        is_asked: impl Fn(QuestionIndex) -> bool,
    ) -> Self {
        let failed = |place: usize, own: &str| match scope {
            Scope::Failures(FailureScope { of, .. }) => {
                of.get(place).filter(|failed| *failed != own).cloned().map(Source::llm_judge)
            }
            Scope::All => None,
        };
        let asked = questions.iter().filter(|(index, _)| is_asked(*index)).map(|(index, question)| Asked {
            question: index,
            source: question.source(),
            failed: failed(index.place(), &question.source_id),
        });
        let asked = asked.collect();
        let has_rubrics = questions.iter().any(|(_, question)| question.is_asked_with(question));
        Self { has_rubrics, questions, asked, scope: scope.clone(), known, makes: Makes::default() }
    }

    /// The same, with subjects made so.
    pub(in crate::run) fn of_subjects(self, makes: Makes) -> Self {
        Self { makes, ..self }
    }

    fn judge(&self, asked: &Asked) -> &Judge {
        &self.questions[asked.question].judge
    }

    /// Whether a judge of this unit takes part.
    fn judges(&self, unit: Unit) -> bool {
        self.asked.iter().any(|asked| self.judge(asked).select.unit() == unit)
    }

    /// Whether a judge of sessions takes part.
    pub(in crate::run) fn judges_sessions(&self) -> bool {
        self.judges(Unit::Session)
    }

    /// Which outputs are compared, if any are.
    pub(in crate::run) fn sides(&self) -> Option<&Sides> {
        self.makes.sides.as_deref().filter(|_| self.judges(Unit::Pair))
    }

    /// Whether a judge of traces, spans or documents takes part in the run.
    pub(in crate::run) fn judges_traces(&self) -> bool {
        let is_of_traces = |unit| matches!(unit, Unit::Trace | Unit::Span | Unit::Document);
        self.questions.iter().any(|(_, question)| is_of_traces(question.judge.select.unit()))
    }

    /// Plans a trace, its spans and their documents, and counts their failures that the run retries.
    pub(in crate::run) fn items(&self, trace: &Trace) -> (Vec<Item>, u64) {
        let redacted = self.makes.redact.as_ref().map(|redact| redact.trace(trace));
        let trace = redacted.as_ref().unwrap_or(trace);
        let (mut items, mut failures) = (Vec::with_capacity(self.asked.len()), 0);
        for asked in &self.asked {
            let mut skip = |reason| items.push(asked.count(Settled::Skipped(reason)));
            match self.judge(asked).select.unit() {
                Unit::Trace => items.extend(self.item_in_scope(asked, trace.into(), &mut failures)),
                Unit::Session if trace.session().is_none() => skip(SkipReason::NoSession),
                Unit::Session | Unit::Pair => {}
                unit @ (Unit::Span | Unit::Document) => {
                    let Selected { spans, repeated } = self.judge(asked).select.spans(trace);
                    if spans.is_empty() {
                        skip(SkipReason::no_span(trace));
                    }
                    if repeated > 0 {
                        skip(SkipReason::RepeatedSpans(repeated));
                    }
                    for span in spans {
                        if unit == Unit::Span {
                            items.extend(self.item_in_scope(asked, Subject::Span { trace, span }, &mut failures));
                            continue;
                        }
                        let documents = Document::all_of(span);
                        if documents.is_empty() {
                            items.push(asked.count(Settled::Skipped(SkipReason::Lacks("documents".to_owned()))));
                        }
                        items.extend((0..documents.len()).filter_map(|index| {
                            let subject = Subject::Document { trace, span, documents: &documents, index };
                            self.item_in_scope(asked, subject, &mut failures)
                        }));
                    }
                }
            }
        }
        (self.asked_together(items), failures)
    }

    /// Plans a session, and counts its failures that the run retries.
    pub(in crate::run) fn items_of_session(&self, session: &Session) -> (Vec<Item>, u64) {
        let redacted = self.makes.redact.as_ref().and_then(|redact| redact.session(session));
        let session = redacted.as_ref().unwrap_or(session);
        let mut failures = 0;
        let items = self.asked_of_sessions();
        let items = items.filter_map(|asked| self.item_in_scope(asked, session.into(), &mut failures)).collect();
        (self.asked_together(items), failures)
    }

    /// Plans traces with outputs for the same inputs, and counts their failures that the run retries.
    pub(in crate::run) fn items_of_sides(&self, traces: Vec<Trace>) -> (Vec<Item>, u64) {
        let traces = match &self.makes.redact {
            Some(redact) => traces.iter().map(|trace| redact.trace(trace)).collect(),
            None => traces,
        };
        let (mut items, mut failures) = (Vec::new(), 0);
        let Some(sides) = self.sides() else { return (items, failures) };
        let Compared { pairs, lacking } = sides.compared(&traces);
        for asked in self.asked.iter().filter(|asked| self.judge(asked).select.unit() == Unit::Pair) {
            let skipped = lacking.iter().map(|what| Settled::Skipped(SkipReason::Lacks(what.clone())));
            items.extend(skipped.map(|settled| asked.count(settled)));
            for pair in &pairs {
                items.extend(self.item_in_scope(asked, (*pair).into(), &mut failures));
            }
        }
        (items, failures)
    }

    /// Plans a session that is not selected.
    pub(in crate::run) fn session_left_out(&self) -> Vec<Item> {
        let skip = |asked: &Asked| asked.count(Settled::Skipped(SkipReason::SessionNotSelected));
        self.asked_of_sessions().map(skip).collect()
    }

    fn asked_of_sessions(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter().filter(|asked| self.judge(asked).select.unit() == Unit::Session)
    }

    fn item_in_scope(&self, asked: &Asked, subject: Subject<'_>, failures: &mut u64) -> Option<Item> {
        if let Some(what) = self.judge(asked).lacks(subject) {
            return Some(asked.count(Settled::Skipped(SkipReason::Lacks(what.to_owned()))));
        }
        match self.scope {
            Scope::All => Some(self.item(asked, subject, None)),
            Scope::Failures(_) => self.item_of_failure(asked, subject, failures),
        }
    }

    /// Puts the criteria of a rubric about one subject into one request.
    fn asked_together(&self, items: Vec<Item>) -> Vec<Item> {
        if !self.has_rubrics {
            return items;
        }
        let mut together: Vec<Item> = Vec::with_capacity(items.len());
        for item in items {
            if let Action::Ask { judgment, history, .. } = &item.action
                && let Some(riders) =
                    together.iter_mut().find_map(|first| self.riders_of(first, item.question, judgment))
            {
                riders.push(Rider { question: item.question, id: judgment.id, history: *history });
            } else {
                together.push(item);
            }
        }
        together
    }

    /// The place for a judgment that shares this item's answer.
    fn riders_of<'i>(
        &self,
        item: &'i mut Item,
        question: QuestionIndex,
        judgment: &Judgment,
    ) -> Option<&'i mut Vec<Rider>> {
        let (first, other) = (&self.questions[item.question], &self.questions[question]);
        match &mut item.action {
            Action::Ask { judgment: of_item, riders, .. }
                if first.is_asked_with(other) && of_item.subject == judgment.subject =>
            {
                Some(riders)
            }
            _ => None,
        }
    }

    fn opinion(&self, asked: &Asked, source: &Source, subject: Subject<'_>) -> OpinionKey {
        let key = self.questions[asked.question].key();
        let opinion = OpinionKey::new(Some(&subject.trace().trace_id), subject.span_id(), key.judge, source);
        let document = subject.document().map(|place| place.index);
        opinion.sample(key.sample).comparing(subject.pair().map(Pair::names)).of_document(document)
    }

    /// The same where only failures are asked. The log is looked up first: rendering is the expensive part.
    fn item_of_failure(&self, asked: &Asked, subject: Subject<'_>, failures: &mut u64) -> Option<Item> {
        let source = asked.failed.as_ref().unwrap_or(&asked.source);
        let opinion = self.opinion(asked, source, subject);
        let Some(standing) = self.known.index.standing(opinion) else {
            return Some(asked.count(Settled::Missing));
        };
        match standing {
            _ if self.scope.excepts(opinion) => None,
            standing if self.scope.asks_again(standing) => {
                *failures += 1;
                Some(self.item(asked, subject, Some(standing).filter(|_| asked.failed.is_none())))
            }
            // What another source says does not answer this question.
            _ => asked.failed.is_none().then(|| asked.count(Settled::Kept(standing))),
        }
    }

    fn item(&self, asked: &Asked, subject: Subject<'_>, failure: Option<Standing>) -> Item {
        Item { question: asked.question, action: self.action(asked, subject, failure) }
    }

    /// `failure` is the only failure that may be asked, if there is such a restriction.
    fn action(&self, asked: &Asked, subject: Subject<'_>, failure: Option<Standing>) -> Action {
        let opinion = self.opinion(asked, &asked.source, subject);
        let look_up = |id: AssessmentId| self.known.index.look_up(opinion, id);
        let judgment = match self.questions[asked.question].judgment(subject) {
            Ok(mut judgment) => {
                if let Some(redact) = &self.makes.redact {
                    judgment.work.note_redacted(|text| redact.count(text));
                }
                judgment
            }
            Err(not_askable) => {
                return match (look_up(not_askable.id), failure) {
                    (Seen::Judged { standing, .. }, _) => Action::Count(Settled::Kept(standing)),
                    (_, Some(standing)) => Action::Count(Settled::Unmatched(standing)),
                    // Another failure's id is never that of a verdict.
                    (Seen::New | Seen::Changed { .. } | Seen::Superseded { .. }, None) => Action::Fail(not_askable),
                };
            }
        };
        let seen = look_up(judgment.id);
        if failure.is_none()
            && let Some(feedback) = self.reused(opinion, judgment.id, seen)
        {
            return Action::Reuse(Box::new(feedback));
        }
        let history = match (seen, failure) {
            (Seen::New | Seen::Changed { .. }, Some(standing)) => return Action::Count(Settled::Unmatched(standing)),
            (Seen::New, None) => History::default(),
            (Seen::Changed { overrides }, None) => History { overrides: Some(overrides), create_time_ms: None },
            (
                Seen::Judged {
                    standing:
                        standing @ (Standing::Failed { create_time_ms, .. } | Standing::Rejected { create_time_ms }),
                    overrides,
                },
                _,
            ) if self.scope.asks_again(standing) && self.known.may_ask(judgment.id) => {
                History { overrides, create_time_ms: Some(create_time_ms) }
            }
            (Seen::Judged { standing, .. }, _) => return Action::Count(Settled::Kept(standing)),
            (Seen::Superseded { standing, offset, by }, _) => {
                return Action::Reinstate { standing, offset, overrides: by };
            }
        };
        Action::Ask { judgment, history, riders: Vec::new() }
    }

    /// The verdict of another run's log, as it is copied to this run's log, which has none.
    fn reused(&self, opinion: OpinionKey, id: AssessmentId, seen: Seen) -> Option<Feedback> {
        let (overrides, create_time_ms) = match seen {
            Seen::New => (None, None),
            Seen::Changed { overrides } => (Some(overrides), None),
            Seen::Judged { standing: Standing::Failed { create_time_ms, .. }, overrides } => {
                (overrides, Some(create_time_ms))
            }
            Seen::Judged { .. } | Seen::Superseded { .. } => return None,
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
mod tests;
