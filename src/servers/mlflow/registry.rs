//! Judges that are registered on the server: scorers made with `make_judge`, and prompts.
//!
//! `mlflow:/scorers/NAME` or `mlflow:/scorers/NAME/VERSION`; `prompts:/NAME/VERSION`, `prompts:/NAME@ALIAS` (`latest` is one).

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::Server;
use crate::judge::import::{self, Imported, NotImported};
use crate::servers::ServerError;

/// What names a judge in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JudgeUri {
    /// A scorer of an experiment.
    Scorer {
        /// Its name.
        name: String,
        /// The latest if none is named.
        version: Option<String>,
    },
    /// A prompt by its version.
    Prompt {
        /// Its name.
        name: String,
        /// The version's number.
        version: String,
    },
    /// A prompt by an alias of a version.
    Alias {
        /// Its name.
        name: String,
        /// The alias.
        alias: String,
    },
}

/// Not the name of a judge in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected mlflow:/scorers/NAME, mlflow:/scorers/NAME/VERSION, prompts:/NAME/VERSION or prompts:/NAME@ALIAS")]
pub struct InvalidJudgeUri;

impl JudgeUri {
    /// Whether a text is meant as one, valid or not.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("mlflow:/") || text.starts_with("prompts:/")
    }
}

impl FromStr for JudgeUri {
    type Err = InvalidJudgeUri;

    fn from_str(text: &str) -> Result<Self, InvalidJudgeUri> {
        let not_empty = |part: &str| Some(part.to_owned()).filter(|part| !part.is_empty()).ok_or(InvalidJudgeUri);
        if let Some(scorer) = text.strip_prefix("mlflow:/scorers/") {
            let (name, version) = match scorer.rsplit_once('/') {
                Some((name, version)) => (name, Some(not_empty(version)?)),
                None => (scorer, None),
            };
            return Ok(Self::Scorer { name: not_empty(name)?, version });
        }
        let prompt = text.strip_prefix("prompts:/").ok_or(InvalidJudgeUri)?;
        match (prompt.rsplit_once('@'), prompt.rsplit_once('/')) {
            (Some((name, alias)), None) => Ok(Self::Alias { name: not_empty(name)?, alias: not_empty(alias)? }),
            (None, Some((name, version))) => Ok(Self::Prompt { name: not_empty(name)?, version: not_empty(version)? }),
            _ => Err(InvalidJudgeUri),
        }
    }
}

impl fmt::Display for JudgeUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scorer { name, version: None } => write!(f, "mlflow:/scorers/{name}"),
            Self::Scorer { name, version: Some(version) } => write!(f, "mlflow:/scorers/{name}/{version}"),
            Self::Prompt { name, version } => write!(f, "prompts:/{name}/{version}"),
            Self::Alias { name, alias } => write!(f, "prompts:/{name}@{alias}"),
        }
    }
}

/// Why a registered judge cannot be asked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RegistryError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("`{0}` belongs to an experiment, but none is given")]
    NoExperiment(JudgeUri),
    #[error("the server has no `{0}`")]
    Unknown(JudgeUri),
    #[error("`{uri}` cannot be asked: {reason}")]
    NotImported { uri: JudgeUri, reason: NotImported },
}

/// The judge as a judge file. A scorer is one of this experiment.
///
/// # Errors
/// When there is no such judge, or it has no equivalent here.
pub async fn registered(
    server: &Server,
    uri: &JudgeUri,
    experiment_id: Option<&str>,
) -> Result<Imported, RegistryError> {
    let answer = match uri {
        JudgeUri::Scorer { name, version } => {
            let experiment_id = experiment_id.ok_or_else(|| RegistryError::NoExperiment(uri.clone()))?;
            let mut query = vec![("experiment_id", experiment_id), ("name", name.as_str())];
            query.extend(version.as_deref().map(|version| ("version", version)));
            server.http.get::<Value>(&["api/3.0/mlflow/scorers/get"], &query).await
        }
        JudgeUri::Prompt { name, version } => {
            let query = [("name", name.as_str()), ("version", version.as_str())];
            server.http.get(&["api/2.0/mlflow/model-versions/get"], &query).await
        }
        JudgeUri::Alias { name, alias } => {
            let query = [("name", name.as_str()), ("alias", alias.as_str())];
            server.http.get(&["api/2.0/mlflow/registered-models/alias"], &query).await
        }
    };
    let answer = match answer {
        Err(error) if error.status() == Some(404) => return Err(RegistryError::Unknown(uri.clone())),
        answer => answer?,
    };
    let failed = |reason| RegistryError::NotImported { uri: uri.clone(), reason };
    let judges = import::import(&answer.to_string()).map_err(failed)?;
    judges.into_iter().next().unwrap_or(Err(NotImported::OtherJson)).map_err(failed)
}

/// All scorers of an experiment as judge files; for those that cannot be asked here, the reason.
///
/// # Errors
/// When the server does not answer as MLflow does.
pub async fn scorers(server: &Server, experiment_id: &str) -> Result<Vec<Result<Imported, NotImported>>, ServerError> {
    let answer: Value = server.http.get(&["api/3.0/mlflow/scorers/list"], &[("experiment_id", experiment_id)]).await?;
    // Without scorers, MLflow leaves the list out.
    Ok(import::import(&answer.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_are_named_as_mlflow_names_them() {
        for text in
            ["mlflow:/scorers/quality", "mlflow:/scorers/quality/3", "prompts:/accuracy/1", "prompts:/accuracy@latest"]
        {
            assert_eq!(text.parse::<JudgeUri>().unwrap().to_string(), text);
            assert!(JudgeUri::is_meant(text));
        }
        for bad in
            ["prompts:/accuracy", "prompts:/", "mlflow:/scorers/", "mlflow:/other/x", "prompts:/a@", "prompts:/a/"]
        {
            assert!(bad.parse::<JudgeUri>().is_err(), "{bad}");
        }
        assert!(!JudgeUri::is_meant("safety"));
    }
}
