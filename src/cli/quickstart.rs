//! The dataset for a first try: it is in the binary, so that the first command needs no file.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Its name for `--dataset`, unless there is a file of that name.
pub(crate) const NAME: &str = "quickstart";
/// The first command.
pub(crate) const COMMAND: &str = "judge-run --dataset quickstart --judge factual_accuracy --simulate";

const TRACES: &str = include_str!("../../datasets/quickstart.jsonl");

/// Whether a dataset is this one.
pub(crate) fn is_meant(path: &Path) -> bool {
    path.as_os_str() == NAME && !path.exists()
}

/// The paths of datasets, with this one as a file, which is kept as long as the guard returned with them.
pub(crate) fn as_files(datasets: Vec<PathBuf>) -> std::io::Result<(Vec<PathBuf>, Option<NamedTempFile>)> {
    if !datasets.iter().any(|path| is_meant(path)) {
        return Ok((datasets, None));
    }
    let mut file = tempfile::Builder::new().prefix("quickstart-").suffix(".jsonl").tempfile()?;
    file.write_all(TRACES.as_bytes())?;
    let path = |path: PathBuf| if is_meant(&path) { file.path().to_owned() } else { path };
    Ok((datasets.into_iter().map(path).collect(), Some(file)))
}
