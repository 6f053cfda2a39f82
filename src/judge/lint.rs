//! What is wrong with a judge file: errors, and habits known to make verdicts worse.
//!
//! Errors are what no run could fix: a file that is not a judge, labels that an answer cannot distinguish, text of the application where only the
//! judge's author may speak. Warnings are habits that cost accuracy or money; each says why.

use std::ops::Range;

use toml::Spanned;

use super::file::{JudgeFile, Prompts};
use super::names::{PARAMETERS, VARIABLES};
use super::parameters::Given;
use super::place::Place;
use super::prompt::PromptTemplate;
use super::template_code::{self, Shown};
use super::unit::Unit;
use super::verdict::VerdictType;
use super::{Judge, JudgeError, toml_file};

/// Instructions of more tokens than these crowd out the trace in small contexts.
pub const DEFAULT_MAX_TOKENS: u64 = 2000;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong, and why or what to do.
    pub message: String,
    /// The code, where it is about code.
    pub place: Option<Place>,
    /// A name that does not exist, and those that do.
    pub misspelt: Option<(String, Vec<String>)>,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The judge cannot be used, or cannot be trusted.
    Error,
    /// Its verdicts would be better or cheaper without.
    Warning,
}

/// Checks a judge file; errors first, then in the order of the file.
pub fn check(name: &str, text: &str, max_tokens: u64) -> Vec<Finding> {
    let text = text.replace("\r\n", "\n");
    let judges = match Judge::compile_all(name, &text, "", &samples(&text)) {
        Ok(judges) => judges,
        Err(error) => return vec![of_error(&text, &error)],
    };
    let Ok(file) = toml_file::parse::<JudgeFile>(&text) else { return Vec::new() };
    let Some(judge) = judges.first() else { return Vec::new() };
    let mut findings = Findings { text: &text, found: Vec::new() };
    judges.iter().for_each(|judge| findings.labels(judge));
    if let Some(prompt) = &file.prompt {
        findings.unfenced(&prompt.user);
        findings.unguarded(judge, &prompt.user);
        findings.wording(judge, &file, prompt);
        findings.parameters(&file, prompt);
    }
    if let Some(judge) = judges.iter().find(|judge| judge.good.is_none() && judge.select.unit() != Unit::Pair) {
        let (criterion, table) = match judge.criterion() {
            Some(criterion) => (format!("`{criterion}`: "), "[[criteria]]"),
            None => (String::new(), "[verdict]"),
        };
        let message = format!(
            "{criterion}no `good` (or `better`): without it there is no pass rate, no gate, and `pass` is not read"
        );
        findings.add(Severity::Warning, findings.key(table), message);
    }
    if file.description.trim().is_empty() {
        let message = "no `description`: reports cannot say what the verdict means";
        findings.add(Severity::Warning, 0, message);
    }
    findings.examples(&file);
    let tokens = judges.iter().map(Judge::instruction_tokens).max().unwrap_or(0);
    if tokens > max_tokens {
        let message = format!(
            "the instructions take about {tokens} tokens, more than {max_tokens}: they are paid for with every trace"
        );
        findings.add(Severity::Warning, findings.key("[prompt]"), message);
    }
    findings.found.sort_by_key(|finding| (finding.severity == Severity::Warning, finding.line, finding.column));
    findings.found
}

/// A value for each required parameter.
fn samples(text: &str) -> Given {
    let file = toml_file::parse::<JudgeFile>(text).ok();
    let tables = file.into_iter().flat_map(|file| file.params.parameters);
    tables.filter(|(_, table)| table.default.is_none()).map(|(name, _)| (name, vec!["x".to_owned()])).collect()
}

fn of_error(text: &str, error: &JudgeError) -> Finding {
    let (line, column, message, place) = match error {
        JudgeError::Toml { error, .. } => {
            let whole = error.to_string();
            let message = whole.splitn(3, ':').nth(2).unwrap_or(&whole).trim().to_owned();
            (error.line, error.column, message, None)
        }
        JudgeError::Template { place, error, .. } => {
            (place.line, place.column, error.to_string(), Some((**place).clone()))
        }
        JudgeError::Invalid { table, reason, .. } => {
            // The key that the reason names, if it is in that table.
            let start = find_line(text, &format!("[{table}]")).or_else(|| find_line(text, &format!("[[{table}]]")));
            let key = reason.split('`').nth(1).and_then(|key| {
                let after = start.unwrap_or(0);
                find_line(&text[after..], &format!("{key} =")).map(|at| after + at)
            });
            let (line, column) = line_column(text, key.or(start).unwrap_or(0));
            (line, column, format!("[{table}]: {reason}"), None)
        }
        JudgeError::ShowsNothing { .. } => {
            let (line, column) = line_column(text, find_line(text, "user =").unwrap_or(0));
            (line, column, "`user` shows nothing of what is judged".to_owned(), None)
        }
        error @ (JudgeError::Unknown { .. } | JudgeError::Read { .. }) => (1, 1, error.to_string(), None),
    };
    let misspelt = match error {
        JudgeError::Toml { error, .. } => Some((error.key.rsplit('.').next().unwrap_or_default(), error.known_keys())),
        JudgeError::Template { error, .. } => error.misspelt(),
        _ => None,
    };
    let misspelt = misspelt.map(|(name, known)| (name.to_owned(), known.into_iter().map(ToOwned::to_owned).collect()));
    Finding { severity: Severity::Error, line, column, message, place, misspelt }
}

/// Where a line begins so.
fn find_line(text: &str, start: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with(start) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

struct Findings<'t> {
    text: &'t str,
    found: Vec<Finding>,
}

/// Words that ask a model to calculate.
const ARITHMETIC: [&str; 11] = [
    "divided by",
    "divide by",
    "the average",
    "the mean of",
    "percentage",
    "to two decimals",
    "with two decimals",
    "multiply",
    "subtract",
    "add up",
    "the sum of",
];
/// Words that ask for the verdict before the reasoning.
const VALUE_FIRST: [&str; 7] = [
    "verdict first",
    "answer first, then",
    "then explain",
    "then give your reason",
    "followed by your reasoning",
    "followed by an explanation",
    "before your reasoning",
];
/// Words that ask for another form than the one that is added.
const OTHER_FORM: [&str; 6] =
    ["respond with json", "answer with json", "output json", "return json", "respond only with", "answer only with"];

impl Findings<'_> {
    fn add(&mut self, severity: Severity, at: usize, message: impl Into<String>) {
        let (line, column) = line_column(self.text, at);
        self.found.push(Finding { severity, line, column, message: message.into(), place: None, misspelt: None });
    }

    fn key(&self, start: &str) -> usize {
        find_line(self.text, start).unwrap_or(0)
    }

    fn at(&mut self, severity: Severity, template: &Spanned<String>, meant: &Range<usize>, message: String) {
        let place = Place::find(self.text, template.span(), template.get_ref(), meant);
        let (line, column) = (place.line, place.column);
        self.found.push(Finding { severity, line, column, message, place: Some(place), misspelt: None });
    }

    /// Labels that are the same when answers are read, ignoring case, `_`, `-` and spaces.
    fn labels(&mut self, judge: &Judge) {
        let (VerdictType::Category { labels } | VerdictType::Labels { labels }) = &judge.verdict else { return };
        if judge.labels.case_sensitive {
            return;
        }
        let folded = |label: &String| label.to_lowercase().replace(['_', '-'], " ");
        for (i, label) in labels.iter().enumerate() {
            if let Some(other) = labels[..i].iter().find(|other| folded(other) == folded(label)) {
                let message = format!("answers cannot tell the labels `{other}` and `{label}` apart");
                self.add(Severity::Error, self.key("labels"), message);
            }
        }
        let unclear = ["unknown", "null"];
        if judge.can_abstain
            && let Some(label) = labels.iter().find(|label| unclear.contains(&label.as_str()))
        {
            let message = format!("the label `{label}` means the same as `unknown = true`: leave out one of them");
            self.add(Severity::Error, self.key("labels"), message);
        }
    }

    /// Values of the trace outside a fence.
    fn unfenced(&mut self, user: &Spanned<String>) {
        for Shown { variable, at } in template_code::shown_unfenced(user.get_ref()) {
            let message = format!(
                "`{variable}` stands outside a fence, where it can give orders: write `{{{{ {variable} | fence(\"...\") }}}}`"
            );
            self.at(Severity::Error, user, &at, message);
        }
    }

    /// What the prompt takes for granted and traces may lack.
    fn unguarded(&mut self, judge: &Judge, user: &Spanned<String>) {
        let source = user.get_ref();
        let always = [
            "question",
            "answer",
            "answer_a",
            "answer_b",
            "inputs",
            "outputs",
            "trace",
            "span",
            "document",
            "history",
            "conversation",
            "session",
        ];
        let Ok(template) = PromptTemplate::compile_with(source, judge.select.unit(), judge.parameters()) else {
            return;
        };
        let required = |name: &str| {
            judge.select.requires().any(|words| {
                words.split(" or ").all(|word| {
                    let word = word.trim();
                    let root = word.split('.').next().unwrap_or(word);
                    root == name || name == "expectations" && !VARIABLES.contains(&root) && root != PARAMETERS
                })
            })
        };
        let guarded = |name: &str| {
            let is_checked = [format!("{name} is defined"), format!("{name} | default"), format!("({name} | default")];
            is_checked.iter().any(|words| source.contains(words.as_str()))
        };
        for name in template.variables().filter(|name| !always.contains(name)) {
            let is_chosen_by_parameter = name == "expectations" && source.contains("params.");
            if !(required(name) || guarded(name) || is_chosen_by_parameter) {
                let message = format!(
                    "a trace without `{name}` becomes a failure: write `requires = [\"{name}\"]` under [select], or test `{name} is defined`"
                );
                let at = source.find(name).map_or(0..source.len(), |at| at..at + name.len());
                self.at(Severity::Warning, user, &at, message);
            }
        }
    }

    /// What the instructions say.
    fn wording(&mut self, judge: &Judge, file: &JudgeFile, prompt: &Prompts) {
        let empty = Spanned::new(0..0, String::new());
        let system = prompt.system.as_ref().unwrap_or(&empty);
        let lower = system.get_ref().to_ascii_lowercase();
        let user = prompt.user.get_ref();
        let template = PromptTemplate::compile_with(user, judge.select.unit(), judge.parameters());
        let shown: Vec<_> = template.iter().flat_map(PromptTemplate::variables).collect();
        let mut says = |words: &[&str], why: &str| {
            if let Some((at, word)) = words.iter().find_map(|word| Some((lower.find(word)?, word))) {
                self.at(Severity::Warning, system, &(at..at + word.len()), why.to_owned());
            }
        };
        says(&ARITHMETIC, "models calculate badly: ask for marks or labels, and let the report count");
        says(&VALUE_FIRST, "the reasoning comes first, in the form that is added: a verdict before it is a guess");
        says(&OTHER_FORM, "the form of the answer is added to the instructions: another one contradicts it");
        if let VerdictType::Number { .. } | VerdictType::Integer { .. } = judge.verdict
            && let Some(at) = lone_number(system.get_ref(), &judge.verdict)
        {
            let why = "the only number of the scale in the prompt: small models copy it".to_owned();
            self.at(Severity::Warning, system, &at, why);
        }
        if let Some(at) = stock_phrase(system.get_ref()) {
            let why = "a phrase in quotation marks: small models copy it; describe it instead".to_owned();
            self.at(Severity::Warning, system, &at, why);
        }
        if system.get_ref().trim().is_empty() {
            let message = "no `system`: put the rules there, where providers' caches find them";
            self.add(Severity::Warning, self.key("[prompt]"), message);
            return;
        }
        let shows_answer = ["answer", "outputs", "answer_a", "outputs_a"].iter().any(|name| shown.contains(name));
        if judge.select.unit() == Unit::Pair && has_ties(judge) && !lower.contains("tie") {
            let message = "the instructions do not say when neither is better: say it, or write `ties = false`";
            self.add(Severity::Warning, self.key("system"), message);
        }
        if matches!(judge.select.unit(), Unit::Trace | Unit::Pair) && shows_answer {
            let of_criteria = file.criteria.iter().map(|criterion| criterion.description.to_ascii_lowercase());
            let all: Vec<_> = of_criteria.chain([lower]).collect();
            let silent = |words: &[&str]| !all.iter().any(|text| words.iter().any(|word| text.contains(word)));
            let mut missing = Vec::new();
            if silent(&["empty", "null", "no content", "without content", "without any text"]) {
                missing.push("an empty answer");
            }
            if silent(&["refus", "declin"]) {
                missing.push("a refusal");
            }
            if !missing.is_empty() {
                let message = format!("the instructions do not say what {} is", missing.join(" or "));
                self.add(Severity::Warning, self.key("system"), message);
            }
        }
    }

    fn parameters(&mut self, file: &JudgeFile, prompt: &Prompts) {
        let source = |template: &Spanned<String>| template.get_ref().clone();
        let all = source(&prompt.user) + &prompt.system.as_ref().map(source).unwrap_or_default();
        for name in file.params.parameters.keys() {
            if !all.contains(&format!("{PARAMETERS}.{name}")) {
                let message = format!("the parameter `{name}` is never used");
                self.add(Severity::Warning, self.key(&format!("[params.{name}]")), message);
            }
        }
    }

    /// Examples that all have one verdict teach that verdict.
    fn examples(&mut self, file: &JudgeFile) {
        let examples = &file.examples;
        if examples.len() > 1 && examples.windows(2).all(|pair| pair[0].value == pair[1].value) {
            let message = "all examples have the same verdict: models repeat it";
            self.add(Severity::Warning, self.key("[[examples]]"), message);
        }
    }
}

/// Whether a judge of pairs may say that neither is better.
fn has_ties(judge: &Judge) -> bool {
    matches!(&judge.verdict, VerdictType::Category { labels } if labels.len() > 2)
}

/// The only number between the ends of the scale that a prompt names.
fn lone_number(text: &str, verdict: &VerdictType) -> Option<Range<usize>> {
    let (min, max) = verdict.scale();
    let mut inside: Vec<(f64, Range<usize>)> = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(|c: char| c.is_ascii_digit()).map(|offset| at + offset) {
        let len = text[start..].find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len() - start);
        let word = text[start..start + len].trim_end_matches('.');
        let is_list = text[..start].ends_with('\n') && text[start + word.len()..].starts_with('.');
        if let Ok(number) = word.parse::<f64>()
            && !is_list
            && min.is_none_or(|min| number > min)
            && max.is_none_or(|max| number < max)
        {
            inside.push((number, start..start + word.len()));
        }
        at = start + len;
    }
    let first = inside.first()?;
    inside.iter().all(|(number, _)| (number - first.0).abs() < f64::EPSILON).then(|| first.1.clone())
}

/// A quotation of four words or more.
fn stock_phrase(text: &str) -> Option<Range<usize>> {
    let mut quotes = text.match_indices('"').map(|(at, _)| at);
    while let (Some(start), Some(end)) = (quotes.next(), quotes.next()) {
        let quoted = &text[start + 1..end];
        if !quoted.contains('\n') && quoted.split_whitespace().count() >= 4 {
            return Some(start..end + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::library;

    const HEAD: &str = "description = \"d\"\n[verdict]\ntype = \"boolean\"\ngood = true\n[prompt]\n";
    const SYSTEM: &str = "system = \"Judge. Empty or a refusal: false.\"\n";
    const USER: &str = "user = \"{{ answer | fence }}\"\n";

    fn found(text: &str) -> Vec<(Severity, usize, usize)> {
        check("j", text, DEFAULT_MAX_TOKENS).iter().map(|f| (f.severity, f.line, f.column)).collect()
    }

    const RUBRIC: &str = "description = \"d\"\n[verdict]\ntype = \"rubric\"\n\
        [[criteria]]\nname = \"a\"\ndescription = \"d\"\nverdict = { type = \"boolean\", good = true }\n\
        [[criteria]]\nname = \"b\"\ndescription = \"d\"\nverdict = { type = \"boolean\" }\n[prompt]\n";

    #[test]
    fn built_in_judges_have_no_findings() {
        for (name, text) in library::BUILT_IN {
            assert_eq!(check(name, text, DEFAULT_MAX_TOKENS), [], "{name}");
        }
    }

    #[test]
    fn what_cannot_work_is_an_error_with_its_place() {
        use Severity::Error;
        assert_eq!(found(&format!("{HEAD}{SYSTEM}{USER}")), []);
        for (text, at) in [
            (format!("{HEAD}{SYSTEM}user = \"{{{{ answr | fence }}}}\""), (7, 12)),
            (format!("{HEAD}{SYSTEM}user = \"{{{{ answer | fense }}}}\""), (7, 21)),
            (format!("{HEAD}{SYSTEM}user = \"Judge it.\""), (7, 1)),
            (format!("{HEAD}{SYSTEM}user = \"{{{{ answer }}}}\""), (7, 12)),
            (format!("x = 1\n{HEAD}{SYSTEM}{USER}"), (1, 1)),
            (format!("{HEAD}{SYSTEM}{USER}[params]\ntemperature = 3"), (9, 1)),
            ("nonsense".to_owned(), (1, 9)),
            (
                format!("{HEAD}{SYSTEM}{USER}").replace(
                    "\"boolean\"\ngood = true",
                    "\"category\"\nlabels = [\"a b\", \"a_b\", \"c\"]\ngood = [\"c\"]",
                ),
                (4, 1),
            ),
        ] {
            let found = found(&text);
            assert_eq!(found.iter().find(|(severity, ..)| *severity == Error), Some(&(Error, at.0, at.1)), "{text}");
        }
    }

    #[test]
    fn what_makes_verdicts_worse_is_a_warning() {
        let number = HEAD.replace("\"boolean\"\ngood = true", "\"number\"\nmin = 0\nmax = 1\nbetter = \"higher\"");
        for (text, words) in [
            (format!("{HEAD}{USER}"), "no `system`"),
            (format!("{}{SYSTEM}{USER}", HEAD.replace("good = true\n", "")), "no `good`"),
            (format!("{}{SYSTEM}{USER}", HEAD.replace("description = \"d\"\n", "")), "no `description`"),
            (format!("{HEAD}system = \"Judge. Empty: false.\"\n{USER}"), "do not say what a refusal is"),
            (format!("{HEAD}{}{USER}", SYSTEM.replace("Judge.", "Hits divided by all.")), "models calculate badly"),
            (format!("{HEAD}{}{USER}", SYSTEM.replace("Judge.", "Give the verdict first.")), "a guess"),
            (format!("{HEAD}{}{USER}", SYSTEM.replace("Judge.", "Respond with JSON.")), "the form of the answer"),
            (format!("{number}{}{USER}", SYSTEM.replace("Judge.", "Half right: 0.5.")), "small models copy it"),
            (
                format!("{HEAD}system = 'Bad: \"I am only an assistant\". Empty or a refusal: false.'\n{USER}"),
                "a phrase in quotation marks",
            ),
            (
                format!(
                    "{HEAD}{SYSTEM}user = \"{{{{ answer | fence }}}}{{% for d in documents %}}{{{{ d | fence }}}}{{% endfor %}}\""
                ),
                "a trace without `documents` becomes a failure",
            ),
            (format!("{HEAD}{SYSTEM}{USER}[params.x]\ndefault = 1"), "`x` is never used"),
            (format!("{RUBRIC}{SYSTEM}{USER}"), "`b`: no `good`"),
            (
                format!(
                    "{HEAD}{SYSTEM}{USER}{}",
                    "[[examples]]\noutputs = \"a\"\nrationale = \"r\"\nvalue = true\n".repeat(2)
                ),
                "the same verdict",
            ),
        ] {
            let found = check("j", &text, DEFAULT_MAX_TOKENS);
            assert!(
                found.iter().any(|f| f.severity == Severity::Warning && f.message.contains(words)),
                "{words}: {found:#?}"
            );
            assert!(found.iter().all(|f| f.severity == Severity::Warning), "{words}: {found:#?}");
        }
        assert!(!check("j", &format!("{HEAD}{SYSTEM}{USER}"), 10).is_empty());
    }
}
