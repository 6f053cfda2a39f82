//! The traces that logs are about: from `--dataset`, or from where their manifests say they are.

use std::path::{Path, PathBuf};

use judge_run::dataset::{DatasetOptions, DatasetReader, Entry};
use judge_run::run::manifest::Manifest;
use judge_run::trace::Trace;
use tempfile::NamedTempFile;

use super::error::CliError;
use super::print::{self, counted};
use super::{paths, quickstart};

/// The datasets of some logs, none of them read yet.
pub(crate) struct Recorded {
    readers: Vec<DatasetReader>,
    /// Lasts as long as it is read.
    _quickstart: Vec<NamedTempFile>,
}

impl Recorded {
    /// Opens what is named. If nothing is, what the newest plan of each log was about: a dataset that no longer exists is reported, and
    /// nothing is known of its traces.
    pub(crate) fn open(named: &[PathBuf], logs: &[PathBuf]) -> Result<Self, CliError> {
        let (options, quickstart) = options(named, logs)?;
        let open = |options| DatasetReader::open(options).map_err(|error| CliError::of(&error));
        Ok(Self { readers: options.into_iter().map(open).collect::<Result<_, _>>()?, _quickstart: quickstart })
    }

    /// Calls `take` with each trace until it wants no more.
    pub(crate) fn for_each(self, mut take: impl FnMut(Trace) -> bool) -> Result<(), CliError> {
        let mut rejects = 0;
        'all: for reader in self.readers {
            for entry in reader {
                match entry.map_err(|error| CliError::of(&error))? {
                    Entry::Trace(trace) => {
                        if !take(trace.value) {
                            break 'all;
                        }
                    }
                    Entry::Reject(_) => rejects += 1,
                    Entry::Duplicate(_) => {}
                }
            }
        }
        if rejects > 0 {
            print::message(format_args!("{} of the dataset not a trace", counted(rejects, "line")));
        }
        Ok(())
    }
}

/// Where the traces are, and the files that must last as long as they are read.
pub(crate) fn options(
    named: &[PathBuf],
    logs: &[PathBuf],
) -> Result<(Vec<DatasetOptions>, Vec<NamedTempFile>), CliError> {
    let mut found = (Vec::new(), Vec::new());
    let mut add = |options: DatasetOptions| {
        let (paths, file) = quickstart::as_files(options.paths)?;
        found.0.push(DatasetOptions { paths, ..options });
        found.1.extend(file);
        Ok::<_, CliError>(())
    };
    if !named.is_empty() {
        add(DatasetOptions::new(paths::datasets(named, logs)?))?;
        return Ok(found);
    }
    let mut known: Vec<Vec<PathBuf>> = Vec::new();
    for log in logs {
        let Ok(manifest) = Manifest::read(&Manifest::path_of(log)) else { continue };
        let Some(plan) = manifest.plans.into_iter().next() else { continue };
        let datasets: Vec<_> = plan.datasets.iter().map(|dataset| paths::shown(&dataset.path)).collect();
        if let Some(missing) = datasets.iter().find(|path| !is_there(path)) {
            print::message(format_args!(
                "the dataset {} no longer exists, so its texts are not shown (to show them: --dataset FILE)",
                print::one_line(&missing.display().to_string())
            ));
        } else if !known.contains(&datasets) {
            known.push(datasets.clone());
            add(DatasetOptions {
                max_line_bytes: plan.reading.max_line_bytes,
                format: plan.reading.format.unwrap_or_default(),
                mappings: plan.reading.map,
                sides: plan.sides.map(|sides| sides.of_datasets),
                ..DatasetOptions::new(datasets)
            })?;
        }
    }
    Ok(found)
}

/// Standard input was read by the run, and cannot be read again.
fn is_there(path: &Path) -> bool {
    path.exists() || quickstart::is_meant(path)
}
