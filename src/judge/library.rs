//! Where judges come from: a file, the `judges` folder of the current directory, or the binary itself.

use std::path::{Path, PathBuf};

use super::{Given, Judge, JudgeError};

/// The judges in the binary: names and TOML texts.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("answer_length", include_str!("../../judges/answer_length.toml")),
    ("bias", include_str!("../../judges/bias.toml")),
    ("citation_support", include_str!("../../judges/citation_support.toml")),
    ("completeness", include_str!("../../judges/completeness.toml")),
    ("conciseness", include_str!("../../judges/conciseness.toml")),
    ("conversation_completeness", include_str!("../../judges/conversation_completeness.toml")),
    ("conversation_guidelines", include_str!("../../judges/conversation_guidelines.toml")),
    ("conversation_safety", include_str!("../../judges/conversation_safety.toml")),
    ("conversation_tool_efficiency", include_str!("../../judges/conversation_tool_efficiency.toml")),
    ("correctness", include_str!("../../judges/correctness.toml")),
    ("document_relevance", include_str!("../../judges/document_relevance.toml")),
    ("equivalence", include_str!("../../judges/equivalence.toml")),
    ("exact_match", include_str!("../../judges/exact_match.toml")),
    ("factual_accuracy", include_str!("../../judges/factual_accuracy.toml")),
    ("fluency", include_str!("../../judges/fluency.toml")),
    ("groundedness", include_str!("../../judges/groundedness.toml")),
    ("guidelines", include_str!("../../judges/guidelines.toml")),
    ("hallucination", include_str!("../../judges/hallucination.toml")),
    ("harm_severity", include_str!("../../judges/harm_severity.toml")),
    ("harms", include_str!("../../judges/harms.toml")),
    ("injection_success", include_str!("../../judges/injection_success.toml")),
    ("instruction_following", include_str!("../../judges/instruction_following.toml")),
    ("knowledge_retention", include_str!("../../judges/knowledge_retention.toml")),
    ("latency", include_str!("../../judges/latency.toml")),
    ("non_advice", include_str!("../../judges/non_advice.toml")),
    ("pii_leak", include_str!("../../judges/pii_leak.toml")),
    ("preference", include_str!("../../judges/preference.toml")),
    ("refusal", include_str!("../../judges/refusal.toml")),
    ("relevance", include_str!("../../judges/relevance.toml")),
    ("retrieval_relevance", include_str!("../../judges/retrieval_relevance.toml")),
    ("retrieval_sufficiency", include_str!("../../judges/retrieval_sufficiency.toml")),
    ("role_adherence", include_str!("../../judges/role_adherence.toml")),
    ("safety", include_str!("../../judges/safety.toml")),
    ("summarization", include_str!("../../judges/summarization.toml")),
    ("task_completion", include_str!("../../judges/task_completion.toml")),
    ("tool_call_correctness", include_str!("../../judges/tool_call_correctness.toml")),
    ("tool_call_efficiency", include_str!("../../judges/tool_call_efficiency.toml")),
    ("tool_result_use", include_str!("../../judges/tool_result_use.toml")),
    ("trajectory", include_str!("../../judges/trajectory.toml")),
    ("user_frustration", include_str!("../../judges/user_frustration.toml")),
    ("valid_json", include_str!("../../judges/valid_json.toml")),
];

/// Other names of built-in judges, MLflow's most of them: a judge requested by one of these has it in its feedback, so that it lines up with
/// what MLflow's own judge said.
pub const ALIASES: &[(&str, &str)] = &[
    ("conversational_guidelines", "conversation_guidelines"),
    ("conversational_role_adherence", "role_adherence"),
    ("conversational_safety", "conversation_safety"),
    ("conversational_tool_call_efficiency", "conversation_tool_efficiency"),
    ("expectations_guidelines", "guidelines"),
    ("pii_detection", "pii_leak"),
    ("relevance_to_query", "relevance"),
    ("retrieval_groundedness", "groundedness"),
];

/// The other names of a built-in judge.
pub fn aliases_of(name: &str) -> Vec<&'static str> {
    ALIASES.iter().filter(|(_, judge)| *judge == name).map(|(alias, _)| *alias).collect()
}

/// The name of a judge that may be requested by an alias.
pub fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, judge)| judge)
}

/// The text of the built-in judge with this name or alias.
pub fn built_in(name: &str) -> Option<&'static str> {
    let name = canonical(name);
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The folder that is searched before the built-in judges.
pub const FOLDER: &str = "judges";

/// Finds and compiles a judge; of a rubric, the criterion that is named (`RUBRIC.CRITERION`, `FILE.toml:CRITERION`), or the first one. A name that ends in
/// `.toml` or has a separator is a path, otherwise it is the name of `./judges/NAME.toml`, else that of a built-in judge.
///
/// # Errors
/// When there is no such judge, or its file is invalid.
pub fn find(wanted: &str) -> Result<Judge, JudgeError> {
    find_with(wanted, |_| Given::new())
}

/// The same, with settings of the parameters of the judge of this name.
///
/// # Errors
/// As [`find`], and when a parameter is unknown or its value of another type.
pub fn find_with(wanted: &str, given: impl FnOnce(&str) -> Given) -> Result<Judge, JudgeError> {
    let found = look_for(wanted)?;
    if found.criterion.is_none() {
        return Judge::compile_with(&found.name, &found.text, &found.origin, &given(&found.name));
    }
    let judge = found.compile(&given(&found.name))?.into_iter().find(|judge| found.is_meant(judge));
    judge.ok_or_else(|| unknown(wanted))
}

/// The same with all parts that give separate feedback: for a rubric, all its criteria unless one is named.
///
/// # Errors
/// When there is no such judge, or its file is invalid.
pub fn find_all(wanted: &str) -> Result<Vec<Judge>, JudgeError> {
    find_all_with(wanted, |_| Given::new())
}

/// The same, with settings of the parameters of the judge of this name.
///
/// # Errors
/// As [`find_all`], and when a parameter is unknown or its value of another type.
pub fn find_all_with(wanted: &str, given: impl FnOnce(&str) -> Given) -> Result<Vec<Judge>, JudgeError> {
    let found = look_for(wanted)?;
    let mut judges = found.compile(&given(&found.name))?;
    judges.retain(|judge| found.is_meant(judge));
    Ok(judges)
}

/// The TOML text of the judge that [`find`] would compile.
///
/// # Errors
/// When there is no such judge, or its file cannot be read.
pub fn source(wanted: &str) -> Result<String, JudgeError> {
    Ok(look_for(wanted)?.text)
}

/// A judge that was found but not compiled yet.
#[derive(Debug, Clone)]
pub struct Found {
    /// The `name` of its feedback.
    pub name: String,
    /// Its TOML.
    pub text: String,
    /// How messages call it.
    pub origin: String,
    /// The criterion of a rubric that is meant, if not the whole.
    pub criterion: Option<String>,
}

impl Found {
    /// Compiles the judge; a rubric to all its criteria.
    ///
    /// # Errors
    /// When its file is invalid.
    pub fn compile(&self, given: &Given) -> Result<Vec<Judge>, JudgeError> {
        Judge::compile_all(&self.name, &self.text, &self.origin, given)
    }

    /// Whether the name that found it means this one of its criteria, or the whole.
    pub fn is_meant(&self, judge: &Judge) -> bool {
        self.criterion.is_none() || self.criterion.as_deref() == judge.criterion()
    }
}

/// Finds a judge, and reads its file.
///
/// # Errors
/// When there is no such judge, or its file cannot be read.
pub fn look_for(wanted: &str) -> Result<Found, JudgeError> {
    if is_path(wanted) {
        let Some((path, criterion)) = path_and_criterion(wanted) else {
            return read(Path::new(wanted)).map_err(|error| near_miss(wanted).unwrap_or(error));
        };
        return of_criterion(wanted, read(Path::new(path))?, criterion, &format!("{path}:"));
    }
    if let Some(found) = named(wanted)? {
        return Ok(found);
    }
    let Some((rubric, criterion)) = wanted.rsplit_once('.') else { return Err(unknown(wanted)) };
    let Some(found) = named(rubric)? else { return Err(unknown(wanted)) };
    of_criterion(wanted, found, criterion, &format!("{rubric}."))
}

/// One criterion of a rubric that was found; `prefix` is how the criteria are named.
fn of_criterion(wanted: &str, found: Found, criterion: &str, prefix: &str) -> Result<Found, JudgeError> {
    let found = Found { criterion: Some(criterion.to_owned()), ..found };
    // A parameter without a default says nothing about the criteria: what is wrong with the file is said where it is compiled.
    match found.compile(&Given::new()) {
        Ok(judges) if !judges.iter().any(|judge| found.is_meant(judge)) => {
            let known = judges.iter().map(|judge| match judge.criterion() {
                Some(criterion) => format!("{prefix}{criterion}"),
                None => prefix[..prefix.len() - 1].to_owned(),
            });
            Err(JudgeError::Unknown { name: wanted.to_owned(), known: known.collect() })
        }
        _ => Ok(found),
    }
}

fn is_path(wanted: &str) -> bool {
    let is_file = |path: &str| Path::new(path).extension().is_some_and(|e| e == "toml");
    let has_criterion = || wanted.rsplit_once(':').is_some_and(|(path, _)| is_file(path));
    wanted.contains(std::path::is_separator) || is_file(wanted) || has_criterion()
}

/// `FILE.toml:CRITERION`; a file of just this name takes precedence.
fn path_and_criterion(wanted: &str) -> Option<(&str, &str)> {
    let (path, criterion) = wanted.rsplit_once(':')?;
    let is_meant = Path::new(path).extension().is_some_and(|e| e == "toml") && !Path::new(wanted).is_file();
    (is_meant && !criterion.contains(std::path::is_separator)).then_some((path, criterion))
}

/// A path that is none, but would name a criterion of a rubric if it were written otherwise: `./rubric.criterion`, `./rubric.toml.criterion`.
fn near_miss(wanted: &str) -> Option<JudgeError> {
    let (stem, criterion) = wanted.rsplit_once(['.', ':'])?;
    let stem = stem.trim_end_matches(':');
    let path = [stem.to_owned(), format!("{stem}.toml")]
        .into_iter()
        .find(|path| is_path(path) && Path::new(path).is_file())?;
    let judges = read(Path::new(&path)).ok()?.compile(&Given::new()).ok()?;
    judges
        .iter()
        .any(|judge| judge.criterion() == Some(criterion))
        .then(|| JudgeError::Unknown { name: wanted.to_owned(), known: vec![format!("{path}:{criterion}")] })
}

/// The judge of this name in the folder, else the built-in one.
fn named(name: &str) -> Result<Option<Found>, JudgeError> {
    let local: PathBuf = [FOLDER, &format!("{name}.toml")].iter().collect();
    if local.is_file() {
        return read(&local).map(Some);
    }
    Ok(built_in(name).map(|text| Found {
        name: name.to_owned(),
        text: unix_line_ends(text),
        origin: format!("the built-in judge {name}"),
        criterion: None,
    }))
}

fn unknown(wanted: &str) -> JudgeError {
    let aliases = ALIASES.iter().map(|(alias, _)| (*alias).to_owned());
    let known = names().into_iter().map(|(name, _)| name).chain(aliases).collect();
    JudgeError::Unknown { name: wanted.to_owned(), known }
}

/// The name of a judge without that of one of its criteria.
pub fn without_criterion(wanted: &str) -> &str {
    if is_path(wanted) {
        return path_and_criterion(wanted).map_or(wanted, |(path, _)| path);
    }
    let is_named = |name: &str| named(name).is_ok_and(|found| found.is_some());
    match wanted.rsplit_once('.') {
        Some((rubric, _)) if !is_named(wanted) && is_named(rubric) => rubric,
        _ => wanted,
    }
}

fn read(path: &Path) -> Result<Found, JudgeError> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| JudgeError::Read { path: origin.clone(), source })?;
    let text = unix_line_ends(&text);
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    Ok(Found { name, text, origin, criterion: None })
}

/// A checkout may have other line ends, and some editors begin a file with a byte order mark.
fn unix_line_ends(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

/// All judges that can be named, sorted, each with the file that it comes from; `None` for the built-in ones.
pub fn names() -> Vec<(String, Option<PathBuf>)> {
    let mut found: Vec<(String, Option<PathBuf>)> =
        BUILT_IN.iter().map(|(name, _)| ((*name).to_owned(), None)).collect();
    for entry in std::fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "toml")
            && let Some(name) = path.file_stem().and_then(|stem| stem.to_str())
        {
            found.retain(|(known, _)| known != name);
            found.push((name.to_owned(), Some(path)));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_the_judge_under_another_name() {
        for (alias, name) in ALIASES {
            assert!(BUILT_IN.iter().any(|(known, _)| known == name), "{name}");
            assert!(BUILT_IN.iter().all(|(known, _)| known != alias), "{alias}");
        }
        let judge = find("relevance_to_query").unwrap();
        assert_eq!((judge.name.as_str(), judge.digest()), ("relevance_to_query", find("relevance").unwrap().digest()));
        assert_eq!(aliases_of("relevance"), ["relevance_to_query"]);
    }

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/judges");
        let files = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
        let mut names: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        assert_eq!(names, BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
