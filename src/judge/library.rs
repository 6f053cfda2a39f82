//! Where judges come from: a file, the `judges` folder of the current directory, or the binary itself.

use std::path::{Path, PathBuf};

use super::{Judge, JudgeError};

/// The judges in the binary: names and TOML texts.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("answer_length", include_str!("../../judges/answer_length.toml")),
    ("conversation_completeness", include_str!("../../judges/conversation_completeness.toml")),
    ("exact_match", include_str!("../../judges/exact_match.toml")),
    ("factual_accuracy", include_str!("../../judges/factual_accuracy.toml")),
    ("groundedness", include_str!("../../judges/groundedness.toml")),
    ("hallucination", include_str!("../../judges/hallucination.toml")),
    ("latency", include_str!("../../judges/latency.toml")),
    ("relevance", include_str!("../../judges/relevance.toml")),
    ("retrieval_relevance", include_str!("../../judges/retrieval_relevance.toml")),
    ("safety", include_str!("../../judges/safety.toml")),
    ("valid_json", include_str!("../../judges/valid_json.toml")),
];

/// The folder that is searched before the built-in judges.
pub const FOLDER: &str = "judges";

/// Finds and compiles a judge. What ends in `.toml` or has a separator is a path, else it is the name of `./judges/NAME.toml`, else that of a
/// built-in judge.
///
/// # Errors
/// When there is no such judge, or its file is invalid.
pub fn find(wanted: &str) -> Result<Judge, JudgeError> {
    let Found { name, text, origin } = look_for(wanted)?;
    Judge::compile(&name, &text, &origin)
}

/// The same with all that gives feedback of its own: of a rubric, its criteria.
///
/// # Errors
/// When there is no such judge, or its file is invalid.
pub fn find_all(wanted: &str) -> Result<Vec<Judge>, JudgeError> {
    let Found { name, text, origin } = look_for(wanted)?;
    Judge::compile_all(&name, &text, &origin)
}

/// The TOML text of the judge that [`find`] would compile.
///
/// # Errors
/// When there is no such judge, or its file cannot be read.
pub fn source(wanted: &str) -> Result<String, JudgeError> {
    Ok(look_for(wanted)?.text)
}

struct Found {
    name: String,
    text: String,
    /// How messages call it.
    origin: String,
}

fn look_for(wanted: &str) -> Result<Found, JudgeError> {
    let is_path =
        wanted.contains(std::path::is_separator) || Path::new(wanted).extension().is_some_and(|e| e == "toml");
    if is_path {
        return read(Path::new(wanted));
    }
    let local: PathBuf = [FOLDER, &format!("{wanted}.toml")].iter().collect();
    if local.is_file() {
        return read(&local);
    }
    match BUILT_IN.iter().find(|(name, _)| *name == wanted) {
        Some((name, text)) => Ok(Found {
            name: (*name).to_owned(),
            text: unix_line_ends(text),
            origin: format!("the built-in judge {name}"),
        }),
        None => {
            let known = names().into_iter().map(|(name, _)| name).collect();
            Err(JudgeError::Unknown { name: wanted.to_owned(), known })
        }
    }
}

fn read(path: &Path) -> Result<Found, JudgeError> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| JudgeError::Read { path: origin.clone(), source })?;
    let text = unix_line_ends(&text);
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    Ok(Found { name, text, origin })
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
