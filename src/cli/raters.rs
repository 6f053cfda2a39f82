//! Who is compared with whom: the raters of a log, and how they are named.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use judge_run::feedback::SourceType;
use judge_run::feedback::log::StandingRecords;
use judge_run::judge::Good;
use judge_run::people::Ratings;
use judge_run::people::plan::Plans;
use judge_run::results::Results;
use judge_run::results::by::TraceFacts;
use judge_run::run::manifest::Manifest;

use super::error::CliError;
use super::log_hints::cannot_open;
use super::named_logs::expanded;
use super::print::one_line;
use super::suggest;

/// All that logs say under a name.
pub(super) fn ratings(logs: &[PathBuf], name: &str) -> Result<Ratings, CliError> {
    let logs = expanded(logs)?;
    let mut records = StandingRecords::of(&logs).map_err(|error| cannot_open(&error))?;
    let ratings = Ratings::read(&mut records, name).map_err(|error| cannot_open(&error))?;
    if ratings.items.is_empty() {
        let results = Results::read(&mut records, &[], &TraceFacts::default()).map_err(|error| cannot_open(&error))?;
        let mut known: Vec<&str> = results.names().collect();
        known.sort_unstable();
        known.dedup();
        let usage = CliError::usage(format_args!("no feedback is named `{name}`"));
        return Err(if known.is_empty() { usage } else { usage.hint(suggest::or_all(name, &known)) });
    }
    Ok(ratings)
}

/// The judge that is named, or the only one.
pub(super) fn judge(ratings: &Ratings, named: Option<&str>) -> Result<Option<usize>, CliError> {
    let judges = ratings.of_type(SourceType::LlmJudge);
    let id = |rater: usize| ratings.raters[rater].source_id.as_str();
    let Some(named) = named else {
        return Ok(match judges.as_slice() {
            [only] => Some(*only),
            _ => None,
        });
    };
    let all: Vec<usize> = (0..ratings.raters.len()).collect();
    let exact = all.iter().copied().find(|rater| id(*rater) == named);
    let like: Vec<usize> = judges.iter().copied().filter(|rater| id(*rater).contains(named)).collect();
    match (exact, like.as_slice()) {
        (Some(exact), _) => Ok(Some(exact)),
        (None, [only]) => Ok(Some(*only)),
        _ => Err(unknown(ratings, &judges, "judge", named)),
    }
}

/// The judge that is named, or the only one; without it nothing can be done.
pub(super) fn needed_judge(ratings: &Ratings, named: Option<&str>) -> Result<usize, CliError> {
    let judges = ratings.of_type(SourceType::LlmJudge);
    judge(ratings, named)?.ok_or_else(|| {
        let name = &ratings.name;
        if judges.is_empty() {
            return CliError::usage(format_args!("no judge has feedback named `{name}`"));
        }
        CliError::usage_with_hint(
            format_args!("several judges answer `{name}`"),
            format_args!("name one with `--judge`: {}", names(ratings, &judges)),
        )
    })
}

/// The people that are named, or all.
pub(super) fn people(ratings: &Ratings, named: &[String]) -> Result<Vec<usize>, CliError> {
    let humans = ratings.of_type(SourceType::Human);
    if named.is_empty() {
        return Ok(humans);
    }
    ratings.named(named).map_err(|name| unknown(ratings, &humans, "person", &name))
}

fn unknown(ratings: &Ratings, known: &[usize], what: &str, name: &str) -> CliError {
    let usage = CliError::usage(format_args!("no {what} `{name}` has feedback named `{}`", ratings.name));
    if known.is_empty() { usage } else { usage.hint(format_args!("there are: {}", names(ratings, known))) }
}

fn names(ratings: &Ratings, raters: &[usize]) -> String {
    let names: Vec<_> = raters.iter().take(10).map(|rater| one_line(&ratings.raters[*rater].source_id)).collect();
    names.join(", ")
}

/// `--good VALUE`.
pub(super) fn good(given: Option<&str>) -> Result<Option<Good>, CliError> {
    let parse =
        |text: &str| text.parse::<Good>().map_err(|error| CliError::usage(format_args!("--good {text}: {error}")));
    given.map(parse).transpose()
}

/// How items were drawn to be labelled.
pub(super) fn plans(log: &Path) -> Result<Plans, CliError> {
    Plans::read(log).map_err(|error| {
        CliError::usage(format_args!("cannot read `{}`", Plans::path_of(log).display())).because(&error)
    })
}

/// By the judge's name, the traces that its file has as examples, as the runs of the logs knew it.
pub(super) fn examples(manifests: &[Manifest]) -> BTreeMap<String, BTreeSet<String>> {
    let mut examples: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for judge in manifests.iter().flat_map(|manifest| &manifest.plans).flat_map(|plan| &plan.judges) {
        if !judge.examples.is_empty() {
            examples.entry(judge.name.clone()).or_default().extend(judge.examples.iter().cloned());
        }
    }
    examples
}

/// Ids, or files of them: one per line.
pub(super) fn ids(given: &[String]) -> Result<Vec<String>, CliError> {
    let mut ids = Vec::new();
    for text in given {
        match text.strip_prefix('@') {
            None => ids.push(text.clone()),
            Some(file) => {
                let content = std::fs::read_to_string(Path::new(file))
                    .map_err(|error| CliError::usage(format_args!("cannot read `{file}`")).because(&error))?;
                ids.extend(content.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()));
            }
        }
    }
    Ok(ids)
}
