//! What is tested or attacked: a judge, all criteria of a rubric, or one of them.

use std::fs;
use std::path::Path;

use judge_run::judge::library::Found;
use judge_run::judge::suite::{self, Case, SUITES, Variant};
use judge_run::judge::{Given, Judge, Unit, library};

use crate::cli::error::CliError;
use crate::cli::setting::{self, Setting};
use crate::cli::target::judge_file;

pub(super) struct Subject {
    /// How the command line names it.
    pub wanted: String,
    /// The judge, or all criteria of the rubric.
    pub all: Vec<Judge>,
    /// Where they come from, and what their parameters are set to.
    found: Found,
    given: Given,
}

impl Subject {
    pub(super) fn find(wanted: String, set: &[Setting]) -> Result<Self, CliError> {
        let found = library::look_for(&wanted).map_err(|error| CliError::of(&error))?;
        let given = setting::of_judge(set, &found.name);
        let all = found.compile(&given).map_err(|error| CliError::of(&error))?;
        Ok(Self { wanted, all, found, given })
    }

    /// The judge, or the criteria that are meant.
    pub(super) fn tested(&self) -> impl Iterator<Item = &Judge> {
        self.all.iter().filter(|judge| self.found.is_meant(judge))
    }

    /// The name in results, and of the log.
    pub(super) fn name(&self) -> &str {
        let judge = self.tested().next();
        judge.map_or("", |judge| if self.found.criterion.is_some() { &judge.name } else { judge.file_name() })
    }

    pub(super) fn unit(&self) -> Unit {
        self.all.first().map_or(Unit::Trace, |judge| judge.select.unit())
    }

    /// The minimal pairs with something that is expected of it, its own before built-in ones.
    pub(super) fn cases(&self, once: bool) -> Result<Vec<Case>, CliError> {
        let name = self.all.first().map_or("", Judge::file_name);
        let compile = |params: &Given| {
            let mut given = self.given.clone();
            given.extend(params.clone());
            self.found.compile(&given)
        };
        let beside = judge_file(&self.wanted)
            .map(|file| file.parent().unwrap_or(Path::new("")).join("tests").join(format!("{name}.jsonl")));
        let mut cases = match beside.filter(|path| path.is_file()) {
            Some(path) => {
                let text = fs::read_to_string(&path);
                let text = text.map_err(|error| CliError::Other(format!("cannot read {}: {error}", path.display())))?;
                suite::read(&self.all, &text, compile)
                    .map_err(|error| CliError::usage(format_args!("{}: {error}", path.display())))?
            }
            None => {
                let known = SUITES.iter().find(|(suite, _)| *suite == library::canonical(name));
                let (_, text) = known.ok_or_else(|| {
                    CliError::usage_with_hint(
                        format_args!("no minimal pairs for the judge {name}"),
                        format_args!(
                            "write tests/{name}.jsonl next to its file, or test it with people's labels: --labels"
                        ),
                    )
                })?;
                suite::read(&self.all, text, compile)
                    .map_err(|error| CliError::usage(format_args!("the pairs of {name}: {error}")))?
            }
        };
        cases.retain(|case| {
            (!once || case.variant == Variant::Plain)
                && self.tested().any(|judge| case.expected.contains_key(&judge.name))
        });
        if cases.is_empty() {
            return Err(CliError::usage(format_args!("no minimal pair says what is expected of {}", self.name())));
        }
        Ok(cases)
    }
}
