//! The server that keeps a quota: its address, and the connection to it.

use std::path::PathBuf;
use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisError, TlsCertificates};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

/// It is on the same network; one that takes longer counts as unreachable.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// A Redis or Valkey server, and a process's share while it is unreachable.
#[derive(Debug, Clone)]
pub struct QuotaServer {
    address: Url,
    user: Option<String>,
    password: Option<SecretString>,
    ca_cert: Option<PathBuf>,
    /// Above 0, at most 1; without one, an equal part for each process that the server counted last.
    share: Option<f64>,
}

/// Why an address cannot be that of a quota server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuotaServer {
    /// No URL of a known scheme with a host.
    #[error("invalid address of a quota server, expected redis://HOST:6379 or rediss://HOST:6379/0")]
    Address,
    /// Secrets, or what may be secret, do not belong in an address.
    #[error("the address of the quota server has a user, a password or a query")]
    Secret,
}

/// Why a quota server is of no use now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QuotaServerAway(String);

impl QuotaServer {
    /// A server at an address such as `redis://host:6379/0`, with or without TLS (`rediss`).
    ///
    /// # Errors
    /// For another address, or one with a user, a password or a query.
    pub fn new(address: &str) -> Result<Self, InvalidQuotaServer> {
        let address = Url::parse(address).map_err(|_| InvalidQuotaServer::Address)?;
        let has_secret = !address.username().is_empty() || address.password().is_some();
        if has_secret || address.query().is_some() || address.fragment().is_some() {
            return Err(InvalidQuotaServer::Secret);
        }
        let is_known = ["redis", "rediss", "valkey", "valkeys"].contains(&address.scheme());
        if !is_known || address.host_str().is_none() || connection_info(&address).is_err() {
            return Err(InvalidQuotaServer::Address);
        }
        Ok(Self { address, user: None, password: None, ca_cert: None, share: None })
    }

    /// With what it asks for.
    #[must_use]
    pub fn with_login(mut self, user: Option<String>, password: Option<SecretString>) -> Self {
        (self.user, self.password) = (user, password);
        self
    }

    /// Its certificate is signed by an authority in this file, PEM.
    #[must_use]
    pub fn with_ca_cert(mut self, path: Option<PathBuf>) -> Self {
        self.ca_cert = path;
        self
    }

    /// This process's share of the quota while the server is unreachable: above 0, at most 1.
    #[must_use]
    pub fn with_share(mut self, share: Option<f64>) -> Self {
        self.share = share.map(|share| share.clamp(f64::MIN_POSITIVE, 1.0));
        self
    }

    /// The address as it was given.
    pub fn address(&self) -> &str {
        self.address.as_str()
    }

    /// Checks that it is reachable and grants access.
    ///
    /// # Errors
    /// When it does not answer within a second, or refuses.
    pub async fn ping(&self) -> Result<(), QuotaServerAway> {
        let away = |error: RedisError| QuotaServerAway(error.to_string());
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
        let client = self.client().map_err(away)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.map_err(away)?;
        redis::cmd("PING").query_async::<String>(&mut connection).await.map(drop).map_err(away)
    }

    pub(super) fn share(&self) -> Option<f64> {
        self.share
    }

    pub(super) fn client(&self) -> Result<Client, RedisError> {
        let info = connection_info(&self.address)?;
        let mut settings = info.redis_settings().clone();
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose_secret());
        }
        let info = info.set_redis_settings(settings);
        if self.address.scheme().ends_with('s') {
            // An error only says that the HTTP library's provider is installed already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            if let Some(path) = &self.ca_cert {
                let root_cert = Some(std::fs::read(path)?);
                return Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert });
            }
        }
        Client::open(info)
    }
}

fn connection_info(address: &Url) -> Result<ConnectionInfo, RedisError> {
    address.as_str().into_connection_info()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_are_told_from_others_and_secrets_are_refused() {
        for good in ["redis://127.0.0.1:6379", "rediss://quota.example:6380/3", "valkey://h", "redis://[::1]:7000/0"] {
            assert!(QuotaServer::new(good).is_ok(), "{good}");
        }
        for bad in ["", "quota:6379", "http://h:6379", "redis://", "redis://h/x", "unix:///tmp/s"] {
            assert_eq!(QuotaServer::new(bad).err(), Some(InvalidQuotaServer::Address), "{bad}");
        }
        for secret in ["redis://:pw@h", "redis://me@h:1", "redis://h?protocol=resp3", "rediss://h/#insecure"] {
            assert_eq!(QuotaServer::new(secret).err(), Some(InvalidQuotaServer::Secret), "{secret}");
        }
    }

    #[test]
    fn a_login_stays_out_of_what_is_shown() {
        let server = QuotaServer::new("redis://h").unwrap().with_login(Some("me".into()), Some("s3cret".into()));
        assert!(!format!("{server:?} {}", server.address()).contains("s3cret"));
        let settings = server.client().unwrap();
        let settings = settings.get_connection_info().redis_settings();
        assert_eq!((settings.username(), settings.password()), (Some("me"), Some("s3cret")));
    }
}
