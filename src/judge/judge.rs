//! A judge, ready to be asked.

use std::borrow::Cow;
use std::num::NonZeroU32;

use serde_json::value::to_raw_value;
use toml::Spanned;

use super::abstain;
use super::answer_form::AnswerForm;
use super::code::CodeError;
use super::computed::Answers;
use super::examples;
use super::file::{JudgeFile, Part, Prompts, Truncate};
use super::kind::JudgeKind;
use super::label_mass;
use super::labels::LabelTraits;
use super::pair;
use super::parameters::{Given, Parameters};
use super::parse::Expected;
use super::place::Place;
use super::prompt::{PromptTemplate, RenderError, Rendered, TemplateError, VARIABLES};
use super::rubric::Aggregated;
use super::select::Select;
use super::subject::Subject;
use super::toml_file::{self, TomlError};
use super::unit::Unit;
use super::verdict::VerdictType;
use crate::endpoint::wire::chat::{ChatRequest, Sampling};
use crate::endpoint::wire::{AnswerSchema, Layout};
use crate::endpoint::{Instructions, ModelUri};
use crate::feedback::{
    ANCHORS_METADATA, DIGEST_METADATA, GOOD_METADATA, Good, IdHasher, LAYOUT_METADATA, PROMPT_METADATA, SCALE_METADATA,
    SCORES_METADATA,
};

/// A named question, compiled: its prompt checked, its schema written.
#[derive(Debug)]
pub struct Judge {
    /// The file's name without its extension; the `name` of the feedback.
    pub name: String,
    /// The file's `version`.
    pub version: u32,
    /// The first line of the file's `description`; of a criterion that of its own.
    pub description: String,
    /// What is judged: traces, spans, their documents, sessions or pairs.
    pub select: Select,
    /// What the judge may answer.
    pub verdict: VerdictType,
    /// What is declared of its labels.
    pub labels: LabelTraits,
    /// Whether it may say that the material does not allow a verdict.
    pub can_abstain: bool,
    /// How it is asked for.
    pub form: AnswerForm,
    /// Which verdicts are good, if the file says so.
    pub good: Option<Good>,
    /// Of a rubric with an `aggregate`: all its criteria.
    pub aggregated: Option<Aggregated>,
    /// The model that the file names.
    pub model: Option<ModelUri>,
    /// Of a judge of documents: how many of them count for the figures of a ranking; all, if it is not set.
    pub k: Option<NonZeroU32>,
    /// The traces that its examples were taken from.
    pub example_traces: Vec<String>,
    /// Who gives the verdict.
    pub(super) answers: Answers,
    /// The file's name, of which that of a criterion is a part.
    file_name: String,
    /// The first line of the file's `description`.
    file_description: String,
    system: Instructions,
    /// The system message and schema in the other orders of a rubric's criteria.
    other_orders: Vec<(Instructions, AnswerSchema)>,
    /// The system message as it was first worded, for the identity of judgments.
    hashed_system: String,
    user: PromptTemplate,
    parameters: Parameters,
    /// Tokens that a prompt may have, and what to do with a longer one.
    limit: Option<(u32, Truncate)>,
    schema: AnswerSchema,
    sampling: Sampling,
    layout: Layout,
    /// The digest of everything that shapes its verdicts except the model: its prompt, schema and sampling.
    digest: String,
    /// What every record says of the judge.
    metadata: Vec<(&'static str, String)>,
    /// Of a judge of pairs: what its records have instead of its answers.
    recorded: Option<VerdictType>,
}

/// Why a judge cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum JudgeError {
    #[error("unknown judge `{name}`")]
    Unknown { name: String, known: Vec<String> },
    #[error("cannot read the judge file `{path}`")]
    Read { path: String, source: std::io::Error },
    #[error("{origin}:{error}")]
    Toml { origin: String, error: Box<TomlError> },
    #[error("{origin}: [{table}]: {reason}")]
    Invalid { origin: String, table: &'static str, reason: String },
    #[error("{origin}:{}:{}: {error}\n{place}", .place.line, .place.column)]
    Template { origin: String, place: Box<Place>, error: TemplateError },
    #[error("{origin}: [prompt]: `user` shows nothing of what is judged")]
    ShowsNothing {
        origin: String,
        /// A variable in single braces.
        single: Option<&'static str>,
    },
}

impl Judge {
    /// Compiles a judge file; of a rubric, its first criterion. `origin` is its name in messages.
    ///
    /// # Errors
    /// When the text is not TOML, a field is wrong, or a template cannot work for any trace.
    pub fn compile(name: &str, text: &str, origin: &str) -> Result<Self, JudgeError> {
        Self::compile_with(name, text, origin, &Given::new())
    }

    /// The same, with settings of its parameters.
    ///
    /// # Errors
    /// As [`Self::compile`], and when a parameter is unknown, or its value of another type.
    pub fn compile_with(name: &str, text: &str, origin: &str, given: &Given) -> Result<Self, JudgeError> {
        Self::compile_part(name, text, origin, given, 0).map(|(judge, _)| judge)
    }

    /// Compiles a judge file to the parts that give separate feedback: a rubric to its criteria, which are named `RUBRIC.CRITERION`.
    ///
    /// # Errors
    /// As [`Self::compile_with`].
    pub fn compile_all(name: &str, text: &str, origin: &str, given: &Given) -> Result<Vec<Self>, JudgeError> {
        let (first, parts) = Self::compile_part(name, text, origin, given, 0)?;
        let others = (1..parts).map(|part| Self::compile_part(name, text, origin, given, part).map(|(judge, _)| judge));
        std::iter::once(Ok(first)).chain(others).collect()
    }

    /// One of the parts of a judge file, and how many there are.
    fn compile_part(
        name: &str,
        text: &str,
        origin: &str,
        given: &Given,
        part: usize,
    ) -> Result<(Self, usize), JudgeError> {
        // A checkout with other line ends is the same judge.
        let text = if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n")) } else { text.into() };
        let mut file: JudgeFile = toml_file::parse(&text)
            .map_err(|error| JudgeError::Toml { origin: origin.to_owned(), error: Box::new(error) })?;
        let invalid = |table, reason| JudgeError::Invalid { origin: origin.to_owned(), table, reason };
        let (sampling, k, given) = file.said(given).map_err(|reason| invalid("params", reason))?;
        let parameters = Parameters::resolve(&file.params.parameters, &given);
        let parameters = parameters.map_err(|reason| invalid("params", reason))?;
        let compile = |template: &Spanned<String>, unit| {
            PromptTemplate::compile_with(template.get_ref(), unit, &parameters).map_err(|error| {
                let whole = 0..template.get_ref().len();
                let place = Place::find(&text, template.span(), template.get_ref(), error.at().unwrap_or(&whole));
                JudgeError::Template { origin: origin.to_owned(), place: Box::new(place), error }
            })
        };
        if name.trim().is_empty() {
            return Err(invalid("verdict", "the judge has no name: name the file NAME.toml".to_owned()));
        }
        file.check_tables().map_err(|(table, reason)| invalid(table, reason))?;
        let Part { criterion, verdict, labels, can_abstain, form, good, parts, aggregated } =
            file.part(part).map_err(|(table, reason)| invalid(table, reason))?;
        let select = std::mem::take(&mut file.select).select().map_err(|reason| invalid("select", reason))?;
        check_unit(&file, select.unit()).map_err(|(table, reason)| invalid(table, reason))?;
        check(&sampling).map_err(|reason| invalid("params", reason))?;
        if k.is_some() && select.unit() != Unit::Document {
            let reason = "`k` is how many documents of a retrieval count: it needs `unit = \"document\"` in [select]";
            return Err(invalid("params", reason.to_owned()));
        }
        let answers = Answers::compile(&mut file, &verdict, select.unit()).map_err(|(table, error)| match error {
            CodeError::Template { source, error } => {
                let whole = 0..source.get_ref().len();
                let place = Place::find(&text, source.span(), source.get_ref(), error.at().unwrap_or(&whole));
                JudgeError::Template { origin: origin.to_owned(), place: Box::new(place), error: *error }
            }
            CodeError::Invalid(reason) => invalid(table, reason),
        })?;
        if answers.kind() != JudgeKind::Llm && form != AnswerForm::Value {
            let kind = answers.kind().as_str();
            let reason = format!("a judge of type \"{kind}\" gives one value: no rubric, no claims, no evidence");
            return Err(invalid("verdict", reason));
        }
        let prompt = file.prompt.unwrap_or_else(Prompts::none);
        let system = prompt.system.unwrap_or_else(|| Spanned::new(0..0, String::new()));
        let system = compile(&system, select.unit())?;
        // With variables the instructions would differ from trace to trace, no cache would hit, and what an application wrote would stand where
        // only the judge's author may speak.
        let system = system.render_constant().ok_or_else(|| {
            let reason = "`system` uses variables; the trace belongs in `user`, inside a fence";
            invalid("prompt", reason.to_owned())
        })?;
        let user = compile(&prompt.user, select.unit())?;
        let asks = answers.kind() == JudgeKind::Llm;
        if asks && user.is_constant() {
            let single = VARIABLES.iter().find(|name| user.source().contains(&format!("{{{name}}}")));
            return Err(JudgeError::ShowsNothing { origin: origin.to_owned(), single: single.copied() });
        }
        let needed = match select.unit() {
            Unit::Span => Some(("span", "spans of a trace")),
            Unit::Document => Some(("document", "documents of a span")),
            Unit::Trace | Unit::Session | Unit::Pair => None,
        };
        if let Some((variable, all)) = needed.filter(|(variable, _)| asks && !user.uses(variable)) {
            let reason = format!("`user` never uses `{variable}`: all {all} would be one question");
            return Err(invalid("prompt", reason));
        }
        if select.unit() == Unit::Pair && !user.shows_both_sides() {
            let reason = "`user` must show both sides: `answer_a` and `answer_b`, or `outputs_a` and `outputs_b`";
            return Err(invalid("prompt", reason.to_owned()));
        }
        let is_weighed =
            matches!(form, AnswerForm::Value | AnswerForm::Quoting) && label_mass::labels(&verdict).is_some();
        if sampling.logprobs && !(asks && is_weighed) {
            let reason =
                "`logprobs` weighs labels: it is for a boolean, a category or a short integer scale, in one answer";
            return Err(invalid("params", reason.to_owned()));
        }
        let examples = examples::shown(&file.examples, &verdict, can_abstain);
        let examples = examples.map_err(|reason| invalid("examples", reason))?;
        let is_of_claims = matches!(form, AnswerForm::Claims(_));
        if is_of_claims && !file.examples.is_empty() {
            return Err(invalid("examples", "examples have a value, and claims have items".to_owned()));
        }
        // A list of claims can itself be empty, and in an answer about several criteria each says it for itself.
        let abstains_by_null = can_abstain && matches!(form, AnswerForm::Value | AnswerForm::Quoting);
        let abstention = if abstains_by_null { abstain::INSTRUCTIONS } else { "" };
        let with_form = |form: String| {
            let parts = [Some(system.trim()).filter(|system| !system.is_empty()), examples.as_deref(), Some(&form)];
            parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n") + abstention
        };
        let max_rationale = sampling.max_rationale_chars;
        let with_criterion = |form: String| match &criterion {
            Some(criterion) if criterion.is_alone => format!("Criterion: {}\n\n{form}", criterion.description),
            _ => form,
        };
        let with_form = |form: String| with_form(with_criterion(form));
        let hashed_system = with_form(form.hashed_instructions(&verdict));
        let raw = |schema| {
            let schema = if abstains_by_null { abstain::schema(schema) } else { schema };
            to_raw_value(&schema).map_err(|error| invalid("verdict", error.to_string()))
        };
        let in_order = |order| {
            let system = Instructions::new(&with_form(form.instructions(&verdict, max_rationale, order)))
                .map_err(|error| invalid("prompt", error.to_string()))?;
            let bounded = raw(form.bounded_json_schema(&verdict, max_rationale, order))?;
            Ok((system, AnswerSchema::new(raw(form.json_schema(&verdict, order))?, bounded)))
        };
        let (system, schema) = in_order(0)?;
        let other_orders = (1..form.orders()).map(in_order).collect::<Result<_, JudgeError>>()?;
        let limit = prompt.max_input_tokens.map(|max| (max, prompt.truncate.unwrap_or_default()));
        if limit.is_none() && prompt.truncate.is_some() {
            return Err(invalid("prompt", "`truncate` needs `max_input_tokens`".to_owned()));
        }
        let file_description = first_line(&file.description);
        let mut judge = Self {
            name: criterion.as_ref().map_or_else(|| name.to_owned(), |own| format!("{name}.{}", own.name)),
            file_name: name.to_owned(),
            version: file.version,
            description: criterion.map_or_else(|| file_description.clone(), |own| first_line(&own.description)),
            file_description,
            select,
            verdict,
            labels,
            can_abstain,
            form,
            good,
            aggregated,
            example_traces: file.examples.iter().filter_map(|example| example.trace_id.clone()).collect(),
            model: file.model,
            k,
            answers,
            system,
            other_orders,
            hashed_system,
            user,
            parameters,
            limit,
            schema,
            sampling,
            layout: Layout::default(),
            digest: String::new(),
            metadata: Vec::new(),
            recorded: None,
        };
        judge.digest = judge.compute_digest();
        judge.metadata = judge.compute_metadata();
        let instructions = judge.instruction_tokens();
        match judge.limit {
            Some((max, _)) if u64::from(max) <= instructions => {
                let reason =
                    format!("`max_input_tokens` is {max}, and the instructions alone take about {instructions}");
                Err(invalid("prompt", reason))
            }
            _ => Ok((judge, parts)),
        }
    }

    /// The request about one trace, span, session or pair.
    ///
    /// # Errors
    /// When the trace lacks something that the prompt names, or the prompt is too long.
    pub fn request<'a>(&self, subject: impl Into<Subject<'a>>) -> Result<ChatRequest, RenderError> {
        let subject = subject.into();
        let request = self.chat_request(self.user.render(subject)?, &subject.trace().trace_id);
        let Some((allowed, truncate)) = self.limit else { return Ok(request) };
        let tokens = request.estimated_input_tokens();
        let too_many = tokens.saturating_sub(allowed.into());
        if too_many == 0 {
            return Ok(request);
        }
        // By the estimate of four bytes per token.
        let excess = usize::try_from(too_many.saturating_mul(4)).unwrap_or(usize::MAX);
        let cut = match (truncate, request.user.len().checked_sub(excess)) {
            (Truncate::Middle, Some(room)) => self.user.render_within(subject, room)?,
            _ => None,
        };
        cut.map(|rendered| self.chat_request(rendered, &subject.trace().trace_id))
            .ok_or(RenderError::TooLong { tokens, allowed })
    }

    fn chat_request(&self, Rendered { text, images, notes }: Rendered, trace_id: &str) -> ChatRequest {
        let (system, schema) = self.asked_for(trace_id);
        ChatRequest {
            system: Some(system.clone()),
            user: text,
            images,
            notes,
            schema: schema.clone(),
            sampling: self.sampling,
            layout: self.layout,
        }
    }

    /// The form of the answer for a trace.
    fn asked_for(&self, trace_id: &str) -> (&Instructions, &AnswerSchema) {
        let other = self.form.order_for(trace_id).checked_sub(1).and_then(|other| self.other_orders.get(other));
        other.map_or((&self.system, &self.schema), |(system, schema)| (system, schema))
    }

    /// Whether one answer is an answer to both: to two criteria of one rubric.
    pub(crate) fn is_asked_with(&self, other: &Self) -> bool {
        let is_criterion = |judge: &Self| matches!(judge.form, AnswerForm::Criterion { .. });
        is_criterion(self)
            && is_criterion(other)
            && (&self.file_name, &self.digest) == (&other.file_name, &other.digest)
    }

    /// Whether its verdicts have a confidence, where the endpoint gives the probabilities of labels.
    pub fn weighs_labels(&self) -> bool {
        self.sampling.logprobs
    }

    /// The name of the file, of which that of a rubric's criterion is a part.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The description in the file, of which that of a rubric's criterion is a part.
    pub fn file_description(&self) -> &str {
        &self.file_description
    }

    /// Of a rubric's criterion: its own name.
    pub fn criterion(&self) -> Option<&str> {
        self.name.strip_prefix(&self.file_name)?.strip_prefix('.')
    }

    /// The parts of the request that are the same for every trace, for its identity: the system message with the first wording of the
    /// form, the schema without bounds, the sampling. Limits on the answer's length are not among them: they can prevent a verdict but
    /// not change it, and raising one must not cost all the other verdicts again.
    pub(super) fn constant_parts(&self) -> [Vec<u8>; 3] {
        if let Some(parts) = self.answers.constant_parts(self.version, self.schema.json(false).get()) {
            return parts;
        }
        let unlimited = Sampling { max_output_tokens: 0, ..self.sampling };
        let sampling = serde_json::to_vec(&unlimited).unwrap_or_default();
        let system = match self.layout {
            Layout::InstructionsFirst => self.hashed_system.as_bytes().to_vec(),
            Layout::TraceFirst => [b"trace-first\n", self.hashed_system.as_bytes()].concat(),
        };
        [system, self.schema.json(false).get().as_bytes().to_vec(), sampling]
    }

    fn compute_digest(&self) -> String {
        let mut hasher = IdHasher::new("judge-run judge 1");
        for part in self.constant_parts() {
            hasher.part(&part);
        }
        hasher.part(self.user.source().as_bytes());
        // Only if there are any: the digests of judges without parameters are older.
        if let Some(parameters) = self.parameters.json() {
            hasher.part(b"parameters").part(parameters.as_bytes());
        }
        format!("{:016x}", hasher.finish_u64())
    }

    /// What the judge requires but a trace, span, session or pair lacks: then the judge does not apply to it.
    pub fn lacks<'a>(&self, subject: impl Into<Subject<'a>>) -> Option<&str> {
        let subject = subject.into();
        self.select
            .requires
            .iter()
            .find(|needed| !needed.is_met(subject, &self.parameters))
            .map(|needed| needed.as_str())
    }

    /// The judge's parameters, with their values.
    pub(super) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Tokens that the instructions take, by the estimate of [`ChatRequest::estimated_input_tokens`].
    pub fn instruction_tokens(&self) -> u64 {
        self.chat_request(Rendered::default(), "").estimated_input_tokens()
    }

    /// The digest of everything that shapes its verdicts except the model: its prompt, schema, sampling and parameters; 16 hex digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What reading the answer to this user message depends on.
    pub(crate) fn expected<'a>(&'a self, prompt: &'a str) -> Expected<'a> {
        Expected {
            verdict: &self.verdict,
            form: &self.form,
            good: self.good.as_ref(),
            case_sensitive: self.labels.case_sensitive,
            can_abstain: self.can_abstain,
            prompt,
            template: self.user.source(),
        }
    }

    /// What a record says about the judge, so that it can be understood without the judge's file.
    pub(crate) fn metadata(&self) -> &[(&'static str, String)] {
        &self.metadata
    }

    /// The same judge with this layout: unless it is the default, its judgments are different ones.
    #[must_use]
    pub fn laid_out(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self.digest = self.compute_digest();
        self.metadata = self.compute_metadata();
        self
    }

    /// The same judge for anchors, which says so in its records; the judgments' identity stays.
    #[must_use]
    pub fn for_anchors(mut self, digest: &str) -> Self {
        self.metadata.push((ANCHORS_METADATA, digest.to_owned()));
        self
    }

    /// The same judge for outputs of these names: its records have them as verdicts.
    #[must_use]
    pub fn for_sides(self, names: &[String]) -> Self {
        Self { recorded: Some(pair::preferred(names)), ..self }
    }

    /// The type of the verdicts that its records have.
    pub fn recorded(&self) -> &VerdictType {
        self.recorded.as_ref().unwrap_or(&self.verdict)
    }

    fn compute_metadata(&self) -> Vec<(&'static str, String)> {
        let scale = match self.verdict.scale() {
            (Some(min), Some(max)) => Some((SCALE_METADATA, format!("{min}..{max}"))),
            _ => None,
        };
        let good = self.good.as_ref().map(|good| (GOOD_METADATA, good.to_string()));
        let scores = (!self.labels.scores.is_empty())
            .then(|| (SCORES_METADATA, serde_json::to_string(&self.labels.scores).unwrap_or_default()));
        let prompt = [(PROMPT_METADATA, self.prompt_uri()), (DIGEST_METADATA, self.digest.clone())];
        let layout = (!self.layout.is_default()).then(|| (LAYOUT_METADATA, self.layout.as_str().to_owned()));
        prompt.into_iter().chain(good).chain(scale).chain(scores).chain(layout).collect()
    }

    /// The variables that its prompt shows of what is judged, sorted; of a judge that asks no model none.
    pub fn shows(&self) -> impl Iterator<Item = &'static str> {
        self.user.variables()
    }

    /// Whether its prompt attaches images.
    pub fn attaches_images(&self) -> bool {
        self.user.attaches_images()
    }

    /// How freely its answers are sampled, if the file says so.
    pub fn temperature(&self) -> Option<f64> {
        self.sampling.temperature
    }

    /// `prompts:/NAME/VERSION`, as MLflow's prompt registry writes it.
    pub fn prompt_uri(&self) -> String {
        format!("prompts:/{}/{}", self.file_name, self.version)
    }
}

fn first_line(text: &str) -> String {
    text.trim().lines().next().unwrap_or_default().trim_end().to_owned()
}

/// Pairs are compared, and nothing else is.
fn check_unit(file: &JudgeFile, unit: Unit) -> Result<(), (&'static str, String)> {
    let is_preference = file.verdict.is_preference();
    match (unit, is_preference) {
        (Unit::Pair, false) => Err(("verdict", "judges of pairs have `type = \"preference\"`".to_owned())),
        (Unit::Pair, true) if file.r#type != JudgeKind::Llm => {
            Err(("select", "only models judge pairs: a program or code would have to be told of both sides".to_owned()))
        }
        (Unit::Pair, true) if !file.examples.is_empty() => {
            Err(("examples", "examples are of one output, and the judge compares two".to_owned()))
        }
        (Unit::Trace | Unit::Span | Unit::Document | Unit::Session, true) => {
            Err(("select", "a preference is about pairs: write `unit = \"pair\"`".to_owned()))
        }
        _ => Ok(()),
    }
}

fn check(params: &Sampling) -> Result<(), String> {
    let within = |value: Option<f64>, name: &str, max: f64| match value {
        Some(value) if !(0.0..=max).contains(&value) => {
            Err(format!("`{name}` must be between 0 and {max}, not {value}"))
        }
        _ => Ok(()),
    };
    within(params.temperature, "temperature", 2.0)?;
    within(params.top_p, "top_p", 1.0)?;
    if params.max_output_tokens < 16 {
        return Err("`max_output_tokens` must be at least 16, or no verdict fits".to_owned());
    }
    if params.max_rationale_chars < 40 {
        return Err("`max_rationale_chars` must be at least 40, or no reasoning fits".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
