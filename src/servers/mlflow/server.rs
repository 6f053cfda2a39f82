//! A tracking server: its version, its experiments.

use std::path::Path;

use reqwest::{ClientBuilder, Identity, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Settings;
use crate::endpoint::client::cause_of;
use crate::servers::ServerError;
use crate::servers::http::Http;

/// A tracking server.
#[derive(Debug)]
pub struct Server {
    pub(super) http: Http,
}

/// An experiment: what traces and runs belong to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Experiment {
    /// The server's number for it.
    #[serde(rename = "experiment_id")]
    pub id: String,
    /// What people call it.
    pub name: String,
}

#[derive(Deserialize)]
struct ExperimentReply {
    experiment: Experiment,
}

impl Server {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When the address or a certificate cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, ServerError> {
        let http = Http::new(&settings.endpoint, |builder| {
            let builder = builder.tls_danger_accept_invalid_certs(settings.is_insecure);
            match &settings.client_certificate {
                Some(path) => identified(builder, path),
                None => Ok(builder),
            }
        });
        Ok(Self { http: http? })
    }

    /// Where it is, as it may be shown.
    pub fn address(&self) -> &str {
        self.http.address()
    }

    /// Its version, such as `3.17.2`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn version(&self) -> Result<String, ServerError> {
        let reply = self.http.send(Method::GET, &["version"], &[], None).await?;
        if !reply.is_success() {
            return Err(reply.error());
        }
        Ok(String::from_utf8_lossy(&reply.body).trim().to_owned())
    }

    /// Whether it grants access: some servers tell everyone their version.
    ///
    /// # Errors
    /// When it does not answer, or refuses access.
    pub async fn access(&self) -> Result<(), ServerError> {
        let search = json!({ "max_results": 1 });
        self.http.post::<Value>(&["api/2.0/mlflow/experiments/search"], &search).await.map(drop)
    }

    /// The experiment with this id, or else with this name.
    ///
    /// # Errors
    /// When there is none, or the server does not answer.
    pub async fn experiment(&self, name: &str) -> Result<Experiment, ServerError> {
        let by = |path, key| async move {
            match self.http.get::<ExperimentReply>(&[path], &[(key, name)]).await {
                Ok(reply) => Ok(Some(reply.experiment)),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let is_id = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        let found = if is_id { by("api/2.0/mlflow/experiments/get", "experiment_id").await? } else { None };
        if let Some(found) = found {
            return Ok(found);
        }
        let found = by("api/2.0/mlflow/experiments/get-by-name", "experiment_name").await?;
        found.ok_or_else(|| ServerError::NoExperiment { address: self.address().to_owned(), name: name.to_owned() })
    }

    /// Whether a version is before 3.2, whose API accepts no feedback; traces can be pulled from it.
    pub fn is_too_old(version: &str) -> bool {
        ["0.", "1.", "2.", "3.0.", "3.1."].iter().any(|old| version.starts_with(old))
    }

    /// The meaning of a missing route: a server before MLflow 3.2, or not MLflow at all.
    pub(super) async fn without_route(&self, error: ServerError) -> ServerError {
        if !matches!(error.status(), Some(404 | 405)) {
            return error;
        }
        match self.version().await {
            Ok(version) if Self::is_too_old(&version) => {
                ServerError::TooOld { address: self.address().to_owned(), version }
            }
            _ => error,
        }
    }
}

/// With the client's own certificate.
fn identified(builder: ClientBuilder, path: &Path) -> Result<ClientBuilder, ServerError> {
    let failed = |reason| ServerError::Certificate { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let identity = Identity::from_pem(&pem).map_err(|error| failed(cause_of(&error)))?;
    Ok(builder.identity(identity))
}
