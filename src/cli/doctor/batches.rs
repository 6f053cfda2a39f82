//! Whether an endpoint has the batch API that `--batch` would use.

use judge_run::batch::{BatchDialect, BatchError};
use judge_run::endpoint::client::without_credentials;
use judge_run::endpoint::config::EndpointConfig;

use super::asked::{Asker, Model};
use super::finding::{Finding, Part};
use crate::cli::error::CliError;

impl Asker<'_> {
    /// Whose API the first member of a pool is taken to have, and whether it answers.
    pub(super) fn batches(&self, model: &Model, member: &EndpointConfig) -> Finding {
        let name = model.name();
        let about = |dialect: BatchDialect| {
            format!(
                "the batch API of {dialect} at {}",
                without_credentials(&member.base_url),
                dialect = dialect.as_str()
            )
        };
        let Some((dialect, answer)) = self.ask(BatchDialect::try_out(member, &model.uri.model)) else {
            return Finding::not_asked(Part::Batches, name, about(BatchDialect::of(member)));
        };
        let about = about(dialect);
        match answer {
            Ok(()) => Finding::ok(Part::Batches, name, format!("{about} answers")),
            Err(BatchError::Endpoint { failure, .. }) => {
                let remedy = match failure.http_status {
                    Some(404 | 405) => "leave out --batch, or use `judge-run batch export` and `import`",
                    _ => failure.code.traits().remedy,
                };
                Finding::fails(Part::Batches, name, format!("{about}: {failure}"), Some(remedy.to_owned()))
            }
            Err(error) => Finding::of_error(Part::Batches, name, CliError::of(&error)),
        }
    }
}
