//! A judgment: one trace, span, document, session or pair x one question, with its identity.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::prompt::RenderError;
use super::subject::{Subject, SubjectIds};
use super::{Judge, JudgeKind, Work};
use crate::endpoint::ModelUri;
use crate::feedback::{AssessmentId, IdHasher, Source};

/// Members of a request that change no verdict.
const IMMATERIAL: [&str; 2] = ["prompt_cache_key", "service_tier"];

/// A judge on a model, for one of several independent answers: what is asked about every subject.
#[derive(Debug, Clone)]
pub struct Question {
    /// The judge, which several questions may share.
    pub judge: Arc<Judge>,
    /// The model URI: the `source_id` of the feedback.
    pub source_id: String,
    /// Which of the independent answers: 0, 1, ...
    sample: u32,
    /// What the configuration adds to every request, as far as it may change the answers.
    extra: Vec<(String, String)>,
    /// Everything that is the same for every trace, hashed once.
    identity: IdHasher,
    input_error: IdHasher,
    /// The same question to a simulator, once requested.
    simulated: OnceLock<Box<Self>>,
}

/// What distinguishes the questions of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QuestionKey<'a> {
    /// The judge's name.
    pub judge: &'a str,
    /// The model URI.
    pub source_id: &'a str,
    /// Which of several independent answers.
    pub sample: u32,
}

impl fmt::Display for QuestionKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  on {}", self.judge, self.source_id)?;
        if self.sample > 0 { write!(f, ", sample {}", self.sample) } else { Ok(()) }
    }
}

/// What to do, and the subject of its record.
#[derive(Debug, Clone)]
pub struct Judgment {
    /// The hash over everything that determines the answer.
    pub id: AssessmentId,
    /// What is judged.
    pub subject: SubjectIds,
    /// What it takes.
    pub work: Work,
}

/// A trace, span, session or pair that a judge cannot be asked about.
#[derive(Debug, Clone)]
pub struct NotAskable {
    /// The identity of the failure, so that it is recorded once.
    pub id: AssessmentId,
    /// What is not judged.
    pub subject: SubjectIds,
    /// What the trace lacks.
    pub error: RenderError,
}

impl Question {
    /// Binds a judge to a model. `extra_body` is what the configuration adds to every request: it may change the answers, so it is part of
    /// the identity, except for what only decides how fast they come and at what price.
    pub fn new(judge: impl Into<Arc<Judge>>, model: &ModelUri, extra_body: &Map<String, Value>) -> Self {
        let material = extra_body.iter().filter(|(name, _)| !IMMATERIAL.contains(&name.as_str()));
        let mut extra: Vec<_> = material.map(|(name, value)| (name.clone(), value.to_string())).collect();
        extra.sort();
        Self::of_source(judge.into(), model.to_string(), extra)
    }

    /// Of a judge that asks no model.
    pub fn without_model(judge: impl Into<Arc<Judge>>) -> Self {
        let judge = judge.into();
        let source_id = judge.kind().source_id(&judge.name);
        Self::of_source(judge, source_id, Vec::new())
    }

    fn of_source(judge: Arc<Judge>, source_id: String, extra: Vec<(String, String)>) -> Self {
        let mut identity = IdHasher::new("judge-run judgment 1");
        identity.part(judge.name.as_bytes()).part(source_id.as_bytes());
        for part in judge.constant_parts() {
            identity.part(&part);
        }
        for (name, value) in &extra {
            identity.part(name.as_bytes()).part(value.as_bytes());
        }
        let mut input_error = IdHasher::new("judge-run input error 1");
        input_error.part(judge.name.as_bytes()).part(source_id.as_bytes());
        Self { judge, source_id, sample: 0, extra, identity, input_error, simulated: OnceLock::new() }
    }

    /// The same question as a simulator answers it in the model's place: its answers are made up, and never the model's own. `None` where the
    /// model is a simulated one anyway.
    pub fn of_simulator(&self) -> Option<&Self> {
        if self.judge.kind() != JudgeKind::Llm || ModelUri::is_simulated_source(&self.source_id) {
            return None;
        }
        // Each answer of a simulator asks for it.
        Some(self.simulated.get_or_init(|| {
            let model = self.source_id.split_once(":/").map_or(self.source_id.as_str(), |(_, model)| model);
            let source_id = ModelUri::simulated(model).to_string();
            Self::of_source(Arc::clone(&self.judge), source_id, self.extra.clone()).with_sample(self.sample).into()
        }))
    }

    /// Whose opinions its records are.
    pub fn source(&self) -> Source {
        match self.judge.kind() {
            JudgeKind::Llm => Source::llm_judge(self.source_id.clone()),
            JudgeKind::Code | JudgeKind::Command => Source::code(self.source_id.clone()),
        }
    }

    /// The same judge on the same model, asked for another independent answer.
    #[must_use]
    pub fn with_sample(self, sample: u32) -> Self {
        Self { sample, simulated: OnceLock::new(), ..self }
    }

    /// Whether one answer answers both: if they are criteria of one rubric, on the same model.
    pub fn is_asked_with(&self, other: &Self) -> bool {
        self.judge.is_asked_with(&other.judge) && (&self.source_id, self.sample) == (&other.source_id, other.sample)
    }

    /// What distinguishes it from the run's other questions.
    pub fn key(&self) -> QuestionKey<'_> {
        QuestionKey { judge: &self.judge.name, source_id: &self.source_id, sample: self.sample }
    }

    /// The judgment of one trace, span, session or pair.
    ///
    /// # Errors
    /// When the trace lacks something that the prompt names.
    pub fn judgment<'a>(&self, subject: impl Into<Subject<'a>>) -> Result<Judgment, Box<NotAskable>> {
        let subject = subject.into();
        let work = self.judge.work(subject).map_err(|error| self.not_askable(subject, error))?;
        let subject = subject.ids();
        Ok(Judgment { id: self.id(&subject, &work), subject, work })
    }

    /// The id of a judgment.
    pub fn id(&self, subject: &SubjectIds, work: &Work) -> AssessmentId {
        let SubjectIds { trace_id, span_id, .. } = subject;
        let mut hasher = self.identity.clone();
        hasher
            .part(trace_id.as_bytes())
            .optional_part(span_id.as_deref().map(str::as_bytes))
            .part(&self.sample.to_le_bytes());
        work.identify(&mut hasher);
        subject.identify(&mut hasher);
        hasher.finish()
    }

    fn not_askable(&self, subject: Subject<'_>, error: RenderError) -> Box<NotAskable> {
        let mut hasher = self.input_error.clone();
        hasher.part(subject.trace().trace_id.as_bytes()).part(error.to_string().as_bytes());
        // Only if there is one: the ids of traces are older than those of spans, and these than those of samples.
        if let Some(span_id) = subject.span_id() {
            hasher.part(span_id.as_bytes());
        }
        let subject = subject.ids();
        subject.identify(&mut hasher);
        if self.sample > 0 {
            hasher.part(b"sample").part(&self.sample.to_le_bytes());
        }
        Box::new(NotAskable { id: hasher.finish(), subject, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Document;
    use crate::trace::{Span, Trace};

    fn question(system: &str, model: &str) -> Question {
        let text =
            format!("[verdict]\ntype = \"boolean\"\n[prompt]\nsystem = \"{system}\"\nuser = \"{{{{ outputs.a }}}}\"\n");
        Question::new(Judge::compile("j", &text, "j").unwrap(), &model.parse().unwrap(), &Map::new())
    }

    fn trace(id: &str, output: &str) -> Trace {
        Trace { trace_id: id.into(), outputs: Some(serde_json::json!({"a": output})), ..Trace::default() }
    }

    #[test]
    fn everything_that_determines_the_answer_changes_the_id_and_nothing_else_does() {
        let id = |question: &Question, trace: &Trace| question.judgment(trace).unwrap().id;
        let base = question("s", "openai:/m");
        let first = id(&base, &trace("t", "x"));
        assert_eq!(id(&question("s", "openai:/m"), &trace("t", "x")), first);
        let tagged = Trace { tags: [("k".into(), "v".into())].into(), ..trace("t", "x") };
        assert_eq!(id(&base, &tagged), first);
        for other in [
            id(&base, &trace("t2", "x")),
            id(&base, &trace("t", "y")),
            id(&question("s2", "openai:/m"), &trace("t", "x")),
            id(&question("s", "openai:/m2"), &trace("t", "x")),
        ] {
            assert_ne!(other, first);
        }
    }

    #[test]
    fn a_judge_that_is_asked_twice_has_other_ids_and_the_first_sample_those_of_old() {
        let sample = |n| question("s", "openai:/m").with_sample(n);
        let trace = trace("t", "x");
        let id = |n| sample(n).judgment(&trace).unwrap().id;
        assert_eq!(id(0), question("s", "openai:/m").judgment(&trace).unwrap().id);
        assert!(id(0) != id(1) && id(1) != id(2));
        let bare = Trace { trace_id: "t".into(), ..Trace::default() };
        let missing = |n| sample(n).judgment(&bare).unwrap_err().id;
        assert_eq!(missing(0), question("s", "openai:/m").judgment(&bare).unwrap_err().id);
        assert_ne!(missing(0), missing(1));
        let first = sample(0);
        assert_eq!(sample(0).key(), first.key());
        assert_ne!(sample(1).key(), first.key());
        assert_ne!(question("s", "openai:/n").key(), first.key());
        assert_eq!(first.key().to_string(), "j  on openai:/m");
        assert_eq!(sample(2).key().to_string(), "j  on openai:/m, sample 2");
    }

    #[test]
    fn what_a_simulator_answers_is_another_judgment_and_that_of_the_simulated_model() {
        let trace = trace("t", "x");
        let id = |question: &Question| question.judgment(&trace).unwrap().id;
        let asked = question("s", "openai:/m").with_sample(1);
        let simulated = asked.of_simulator().unwrap();
        assert_eq!(simulated.key().to_string(), "j  on simulated:/m, sample 1");
        assert_eq!(id(simulated), id(&question("s", "simulated:/m").with_sample(1)));
        assert!(id(simulated) != id(&asked) && simulated.of_simulator().is_none());
    }

    #[test]
    fn an_attached_image_is_part_of_the_identity() {
        let text = "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs | images }}\"";
        let question = Question::new(Judge::compile("j", text, "j").unwrap(), &"m".parse().unwrap(), &Map::new());
        let id = |url: &str| {
            let part = serde_json::json!({"type": "image_url", "image_url": {"url": url}});
            let trace = Trace { trace_id: "t".into(), outputs: Some(part), ..Trace::default() };
            question.judgment(&trace).unwrap().id
        };
        assert_ne!(id("https://example.com/a.png"), id("https://example.com/b.png"));
        assert_eq!(id("https://example.com/a.png"), id("https://example.com/a.png"));
    }

    #[test]
    fn limits_of_the_answer_are_not_part_of_the_identity_and_the_temperature_is() {
        let id = |params: &str| {
            let text =
                format!("[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{{{ outputs.a }}}}\"\n[params]\n{params}");
            let judge = Judge::compile("j", &text, "j").unwrap();
            Question::new(judge, &"m".parse().unwrap(), &Map::new()).judgment(&trace("t", "x")).unwrap().id
        };
        assert_eq!(id("max_output_tokens = 100"), id("max_output_tokens = 200"));
        assert_eq!(id("max_rationale_chars = 100"), id(""));
        assert_ne!(id("temperature = 0"), id("temperature = 1"));
    }

    #[test]
    fn service_tiers_change_no_id_and_other_members_do() {
        let id = |extra: Value| {
            let text = "[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ outputs.a }}\"";
            let judge = Judge::compile("j", text, "j").unwrap();
            let extra = extra.as_object().cloned().unwrap_or_default();
            Question::new(judge, &"m".parse().unwrap(), &extra).judgment(&trace("t", "x")).unwrap().id
        };
        let plain = id(Value::Null);
        assert_eq!(id(serde_json::json!({"service_tier": "flex", "prompt_cache_key": "k"})), plain);
        assert_ne!(id(serde_json::json!({"top_k": 1})), plain);
        assert_eq!(id(serde_json::json!({"a": 1, "b": 2})), id(serde_json::json!({"b": 2, "a": 1})));
    }

    #[test]
    fn a_trace_that_cannot_be_asked_about_has_an_id_all_the_same() {
        let question = question("s", "openai:/m");
        let bare = Trace { trace_id: "t".into(), ..Trace::default() };
        let a = question.judgment(&bare).unwrap_err();
        assert_eq!(a.id, question.judgment(&bare).unwrap_err().id);
        assert_eq!(a.error.to_string(), "the trace has no `outputs` (line 1 of the judge's prompt)");
    }

    #[test]
    fn every_span_has_ids_of_its_own_even_where_the_prompts_are_alike() {
        let text = "[select]\nunit = \"span\"\n[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ span.outputs }}\"";
        let question = Question::new(Judge::compile("j", text, "j").unwrap(), &"m".parse().unwrap(), &Map::new());
        let trace = Trace { trace_id: "t".into(), ..Trace::default() };
        let judgment = |id: &str, outputs: Option<&str>| {
            let span = Span { span_id: id.into(), outputs: outputs.map(Into::into), ..Span::default() };
            question.judgment(Subject::Span { trace: &trace, span: &span })
        };
        let first = judgment("1", Some("x")).unwrap();
        assert_eq!((first.subject.trace_id.as_str(), first.subject.span_id.as_deref()), ("t", Some("1")));
        assert_ne!(first.id, judgment("2", Some("x")).unwrap().id);
        assert_ne!(first.id, judgment("1", Some("y")).unwrap().id);
        let missing = judgment("1", None).unwrap_err();
        assert_eq!(missing.error.to_string(), "the span has no `span.outputs` (line 1 of the judge's prompt)");
        assert_ne!(missing.id, judgment("2", None).unwrap_err().id);
    }

    #[test]
    fn equal_documents_of_a_span_are_judgments_of_their_own() {
        let text =
            "[select]\nunit = \"document\"\n[verdict]\ntype = \"boolean\"\n[prompt]\nuser = \"{{ document | fence }}\"";
        let question = Question::new(Judge::compile("j", text, "j").unwrap(), &"m".parse().unwrap(), &Map::new());
        let trace = Trace { trace_id: "t".into(), ..Trace::default() };
        let judgment = |outputs: Value, index: usize| {
            let span = Span { span_id: "s".into(), outputs: Some(outputs), ..Span::default() };
            let documents = Document::all_of(&span);
            question.judgment(Subject::Document { trace: &trace, span: &span, documents: &documents, index }).unwrap()
        };
        let two = serde_json::json!(["a", "a"]);
        let (first, second) = (judgment(two.clone(), 0), judgment(two, 1));
        assert_ne!(first.id, second.id);
        let metadata: Vec<_> = second.subject.metadata().map(|(key, text)| (key, text.into_owned())).collect();
        assert_eq!(metadata, [("document_index", "1".to_owned()), ("document_count", "2".to_owned())]);
        assert_ne!(
            judgment(serde_json::json!(["a"]), 0).id,
            first.id,
            "another number of documents is another ranking"
        );
    }
}
