//! What goes wrong with a server.

use std::io;
use std::path::PathBuf;

use crate::endpoint::client::ClientError;

/// What goes wrong with a server. No message contains a key, a password or a query of an address.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ServerError {
    #[error("`{value}` is not the address of a server: it must begin with http:// or https:// and name a host")]
    NotAddress { value: String },
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot use the certificate in {}: {reason}", path.display())]
    Certificate { path: PathBuf, reason: String },
    /// The server was asked as often as is reasonable.
    #[error("{address} does not answer: {reason}")]
    Unreachable { address: String, reason: String },
    /// Wrong credentials, or none.
    #[error("{address} refuses access (HTTP {status}): {message}")]
    Refused { address: String, status: u16, message: String },
    /// Anything else that is not an answer.
    #[error("{request} failed: HTTP {status}: {message}")]
    Status {
        /// The method and the path.
        request: String,
        status: u16,
        /// The server's own name for it, such as `RESOURCE_DOES_NOT_EXIST`.
        code: Option<String>,
        message: String,
    },
    #[error("unexpected answer to {request}: {reason}")]
    Unexpected { request: String, reason: String },
    #[error("{address} has no experiment `{name}`")]
    NoExperiment { address: String, name: String },
    #[error("{address} has no project `{name}`")]
    NoProject { address: String, name: String },
    #[error("{address} is MLflow {version}; feedback needs 3.2 or later, older servers support only pulling traces")]
    TooOld { address: String, version: String },
    #[error("`{}`, line {line}: not a trace that was pulled from MLflow", path.display())]
    NotPulled { path: PathBuf, line: u64 },
    #[error("`{}` has traces of the experiment {found}, not of {wanted}", path.display())]
    OtherExperiment { path: PathBuf, found: String, wanted: String },
    #[error("another process is writing to `{}`", path.display())]
    Locked { path: PathBuf },
    #[error("cannot {action} `{}`", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
}

impl ServerError {
    /// The status of a response that is not an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether every further request would fail in the same way.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Status { .. } | Self::Unexpected { .. })
    }
}
