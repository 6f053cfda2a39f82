//! The server's address and credentials, from the variables that MLflow's own client reads.
//!
//! Source: `mlflow.environment_variables`, `mlflow.utils.rest_utils.http_request` and `mlflow.utils.credentials`.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use crate::endpoint::config::EndpointConfig;

/// MLflow's own default, `MLFLOW_HTTP_REQUEST_TIMEOUT`.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How a tracking server is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) endpoint: EndpointConfig,
    /// Certificates are not checked.
    pub(super) is_insecure: bool,
    /// The client's certificate and its key, PEM.
    pub(super) client_certificate: Option<PathBuf>,
}

impl Settings {
    /// The variable that names the server.
    pub const ADDRESS: &'static str = "MLFLOW_TRACKING_URI";

    /// The server at this address, with the credentials in MLflow's variables: `MLFLOW_TRACKING_USERNAME` and `_PASSWORD`, or
    /// `MLFLOW_TRACKING_TOKEN`; `MLFLOW_TRACKING_SERVER_CERT_PATH`, `MLFLOW_TRACKING_CLIENT_CERT_PATH`, `MLFLOW_TRACKING_INSECURE_TLS`;
    /// `MLFLOW_WORKSPACE`; `MLFLOW_HTTP_REQUEST_TIMEOUT` in seconds.
    pub fn new(address: &str, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let mut endpoint = EndpointConfig::new("mlflow", address.trim());
        endpoint.timeout = TIMEOUT;
        if let Some(seconds) = set("MLFLOW_HTTP_REQUEST_TIMEOUT").and_then(|text| text.trim().parse().ok()) {
            endpoint.timeout = Duration::from_secs(seconds);
        }
        let (user, password) = (set("MLFLOW_TRACKING_USERNAME"), set("MLFLOW_TRACKING_PASSWORD"));
        if let (Some(user), Some(password)) = (user, password) {
            let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            endpoint.headers.push(("Authorization".to_owned(), basic.into()));
            endpoint.secrets.push(SecretString::from(password));
        } else if let Some(token) = set("MLFLOW_TRACKING_TOKEN") {
            endpoint.api_key = Some(SecretString::from(token.trim().to_owned()));
        }
        if let Some(workspace) = set("MLFLOW_WORKSPACE") {
            endpoint.headers.push(("X-MLFLOW-WORKSPACE".to_owned(), workspace.into()));
        }
        endpoint.ca_cert = set("MLFLOW_TRACKING_SERVER_CERT_PATH").map(PathBuf::from);
        let is_insecure = set("MLFLOW_TRACKING_INSECURE_TLS")
            .is_some_and(|value| ["true", "1"].contains(&value.trim().to_ascii_lowercase().as_str()));
        let client_certificate = set("MLFLOW_TRACKING_CLIENT_CERT_PATH").map(PathBuf::from);
        Self { endpoint, is_insecure, client_certificate }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::new("http://h:5000", &value)
    }

    #[test]
    fn a_user_with_a_password_comes_before_a_token_as_in_mlflow() {
        let both = [
            ("MLFLOW_TRACKING_USERNAME", "kim"),
            ("MLFLOW_TRACKING_PASSWORD", "pass-word"),
            ("MLFLOW_TRACKING_TOKEN", "token-1"),
        ];
        let endpoint = settings(&both).endpoint;
        assert_eq!(endpoint.headers[0].1.expose_secret(), "Basic a2ltOnBhc3Mtd29yZA==");
        assert!(endpoint.api_key.is_none());
        let endpoint = settings(&both[1..]).endpoint;
        assert!(endpoint.headers.is_empty());
        assert_eq!(endpoint.api_key.unwrap().expose_secret(), "token-1");
        assert!(settings(&[("MLFLOW_TRACKING_TOKEN", " ")]).endpoint.api_key.is_none());
    }

    #[test]
    fn tls_is_as_the_variables_say() {
        let settings = settings(&[
            ("MLFLOW_TRACKING_INSECURE_TLS", "True"),
            ("MLFLOW_TRACKING_SERVER_CERT_PATH", "ca.pem"),
            ("MLFLOW_TRACKING_CLIENT_CERT_PATH", "me.pem"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "7"),
        ]);
        assert!(settings.is_insecure);
        assert_eq!(settings.endpoint.ca_cert, Some("ca.pem".into()));
        assert_eq!(settings.client_certificate, Some("me.pem".into()));
        assert_eq!(settings.endpoint.timeout, Duration::from_secs(7));
    }
}
