//! `--side`: the outputs that a run compares, and their sides.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueHint};
use judge_run::dataset::{self, Mapping};
use judge_run::judge::{Judge, Unit};
use judge_run::run::{Sides, SidesError, SidesPlan};

use super::error::CliError;
use super::paths;
use super::print::one_line;

/// Whose outputs are compared.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SideArgs {
    /// Compare the outputs in this file with those of another --side, with a judge of pairs such as `preference`. Give it twice or more, instead
    /// of --dataset; verdicts use the name [default: the file's name]
    #[arg(long, value_name = "[NAME=]FILE", env = "JUDGE_RUN_SIDE", value_hint = ValueHint::FilePath)]
    pub side: Vec<SideArg>,

    /// What identifies the traces to compare on different sides, such as inputs or trace.tags.item [default: their ids]
    #[arg(long, value_name = "EXPRESSION", env = "JUDGE_RUN_PAIR_BY")]
    pub pair_by: Option<String>,

    /// Number of orders in which each pair is shown: 1 picks one by its ids, at half the cost, but leaves any preference for a
    /// position in the verdicts [default: 2]
    #[arg(long, value_name = "1|2", env = "JUDGE_RUN_ORDERS", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub orders: Option<u8>,
}

/// A side: its name and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SideArg {
    name: String,
    path: PathBuf,
}

impl SideArg {
    pub(crate) fn new(name: &str, path: PathBuf) -> Self {
        Self { name: name.to_owned(), path }
    }
}

impl FromStr for SideArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name.trim().to_owned(), Path::new(path)),
            None => (stem(Path::new(text)), Path::new(text)),
        };
        if name.is_empty() || path.as_os_str().is_empty() {
            return Err("expected NAME=FILE, such as new=new.jsonl".to_owned());
        }
        Ok(Self { name, path: path.to_owned() })
    }
}

/// `new` of `runs/new.jsonl.gz`.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let begin = usize::from(name.starts_with('.'));
    let end = name[begin..].find('.').map_or(name.len(), |end| begin + end);
    name[..end].to_owned()
}

impl SideArgs {
    /// The files, in order.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.side.iter().map(|side| side.path.clone()).collect()
    }

    /// The files of the dataset without those that the run writes, and whose outputs they have: of the sides, or else of the columns that are mapped to one
    /// field, where a judge compares them.
    pub(crate) fn resolve(
        self,
        named: &[PathBuf],
        written: &[PathBuf],
        map: &[Mapping],
    ) -> Result<(Vec<PathBuf>, Option<SidesPlan>), CliError> {
        let Self { side, pair_by: by, orders } = self;
        let one_order = orders == Some(1);
        if side.is_empty() {
            let names = dataset::sides(map);
            let plan = SidesPlan { names, of_datasets: Vec::new(), by, one_order };
            return Ok((paths::datasets(named, written)?, (!plan.names.is_empty()).then_some(plan)));
        }
        let (mut files, mut of_datasets, mut names) = (Vec::new(), Vec::new(), Vec::new());
        // The paths as typed may have been replaced by pulled files since.
        for (number, (SideArg { name, .. }, path)) in side.into_iter().zip(named).enumerate() {
            let of_side = paths::datasets(std::slice::from_ref(path), written)?;
            of_datasets.extend(of_side.iter().map(|_| number));
            files.extend(of_side);
            names.push(name);
        }
        Ok((files, Some(SidesPlan { names, of_datasets, by, one_order })))
    }
}

/// The sides of a run with these judges: all of them compare outputs, or none does.
pub(crate) fn of_judges(
    sides: Option<SidesPlan>,
    judges: &[Judge],
    is_typed: bool,
) -> Result<Option<SidesPlan>, CliError> {
    let of_pairs = judges.iter().find(|judge| judge.select.unit() == Unit::Pair);
    let other = judges.iter().find(|judge| judge.select.unit() != Unit::Pair);
    match (of_pairs, other, sides) {
        (Some(judge), Some(other), _) => Err(CliError::usage_with_hint(
            format_args!("`{}` compares outputs, but `{}` judges {}s", judge.name, other.name, other.select.unit()),
            "judge them in two runs; both may use the same log",
        )),
        (Some(judge), None, None) => Err(CliError::usage_with_hint(
            format_args!("`{}` compares outputs, but each trace has only one", judge.name),
            "name the outputs to compare: `--side old.jsonl --side new.jsonl`, or two columns of one file: `--map outputs=chosen --map outputs=rejected`",
        )),
        (Some(_), None, Some(plan)) => {
            Sides::of(&plan).map_err(|error| refused(&error))?;
            Ok(Some(plan))
        }
        (None, Some(judge), Some(_)) if is_typed => Err(CliError::usage_with_hint(
            format_args!(
                "--side is for judges that compare outputs, but `{}` judges {}s",
                judge.name,
                judge.select.unit()
            ),
            "use the judge `preference`, or name the files with `--dataset`",
        )),
        (None, ..) => Ok(None),
    }
}

fn refused(error: &SidesError) -> CliError {
    let usage = |hint: &str| CliError::of(error).hint(hint.to_owned());
    match error {
        SidesError::Few(_) => usage("give `--side` twice or more"),
        SidesError::Twice(name) => {
            let name = one_line(name);
            usage(&format!("name them: `--side {name}=FILE`"))
        }
        SidesError::Name(_) => usage("give it another name: `--side NAME=FILE`"),
        SidesError::By(_) => CliError::of(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_has_the_name_of_its_file_unless_it_is_named() {
        let side = |text: &str| text.parse::<SideArg>().map(|side| (side.name, side.path.display().to_string()));
        let expected = |name: &str, path: &str| Ok((name.to_owned(), path.to_owned()));
        assert_eq!(side("runs/new.v2.jsonl.gz"), expected("new", "runs/new.v2.jsonl.gz"));
        assert_eq!(side("gpt=runs/a=b.jsonl"), expected("gpt", "runs/a=b.jsonl"));
        assert_eq!(side(".hidden.jsonl").unwrap().0, ".hidden");
        assert!(side("=x").is_err() && side("x=").is_err() && side("").is_err());
    }
}
