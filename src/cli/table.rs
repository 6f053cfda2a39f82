//! `--include` and `--bom`: what a table has in addition to the feedback.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use judge_run::dataset::{DatasetOptions, DatasetReader};
use judge_run::feedback::forms::{Form, INCLUDED, Include, TableOptions};
use judge_run::run::{Included, TablePlan};

use super::error::CliError;

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TableArgs {
    /// Fields of the traces as columns of the table, such as inputs,outputs
    #[arg(long, value_name = "FIELDS", env = "JUDGE_RUN_INCLUDE", value_delimiter = ',', value_parser = PossibleValuesParser::new(INCLUDED))]
    pub include: Vec<String>,

    /// Begin the table with a byte order mark, for spreadsheets that take UTF-8 for another encoding
    #[arg(long, env = "JUDGE_RUN_BOM")]
    pub bom: bool,
}

impl TableArgs {
    /// The plan of an output of this form.
    pub(crate) fn plan(self, form: Option<Form>) -> Result<TablePlan, CliError> {
        let Self { mut include, bom } = self;
        let flag = if include.is_empty() { "--bom" } else { "--include" };
        if (bom || !include.is_empty()) && !form.is_some_and(Form::is_table) {
            return Err(CliError::usage_with_hint(
                format_args!("`{flag}` is for tables"),
                "name the output .csv or .wide.csv",
            ));
        }
        let mut seen = Vec::new();
        include.retain(|field| {
            !seen.contains(field) && {
                seen.push(field.clone());
                true
            }
        });
        Ok(TablePlan { include, bom })
    }
}

/// Whether these datasets can be read again.
pub(crate) fn check(plan: &TablePlan, dataset: &[PathBuf]) -> Result<(), CliError> {
    if plan.include.is_empty() || !dataset.iter().any(|path| path.as_os_str() == "-") {
        return Ok(());
    }
    Err(CliError::usage_with_hint(
        "`--include` reads the traces again, but standard input can be read only once",
        "name a file with `--dataset`",
    ))
}

/// Makes the planned files; the dataset is read again if they include its fields.
pub(crate) fn with_options<T>(
    plan: &TablePlan,
    dataset: Option<DatasetOptions>,
    make: impl FnOnce(&mut TableOptions<'_>) -> T,
) -> Result<T, CliError> {
    let TablePlan { include: fields, bom } = plan;
    let mut included = match dataset.filter(|_| !fields.is_empty()) {
        None => None,
        Some(dataset) => {
            check(plan, &dataset.paths)?;
            let read = DatasetReader::open(dataset).and_then(|dataset| Included::read(dataset, fields));
            Some(read.map_err(|error| CliError::of(&error))?)
        }
    };
    let include = included
        .as_mut()
        .map(|included| Include { fields: fields.clone(), texts: Box::new(|trace_id| included.texts(trace_id)) });
    let mut options = TableOptions { bom: *bom, include };
    Ok(make(&mut options))
}
