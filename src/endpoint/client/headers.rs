//! The headers of every request.

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::error::ClientError;
use crate::endpoint::config::EndpointConfig;
use crate::endpoint::provider::KeyHeader;

/// `basic` is what the address contains, and takes precedence over the key, as in other clients; a configured header takes precedence over both.
pub(crate) fn headers(config: &EndpointConfig, basic: Option<&HeaderValue>) -> Result<HeaderMap, ClientError> {
    let unusable = |what: String| ClientError::Header { endpoint: config.name.clone(), what };
    let secret = |text: &str, what: String| {
        let mut value = HeaderValue::from_str(text).map_err(|_| unusable(what))?;
        value.set_sensitive(true);
        Ok(value)
    };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Answers are short; without this header anything may be sent.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(key) = &config.api_key {
        let what = "the API key".to_owned();
        match config.key_header {
            KeyHeader::Bearer => {
                headers.insert(AUTHORIZATION, secret(&format!("Bearer {}", key.expose_secret()), what)?)
            }
            KeyHeader::ApiKey => headers.insert("api-key", secret(key.expose_secret(), what)?),
        };
    }
    if let Some(basic) = basic {
        headers.insert(AUTHORIZATION, basic.clone());
    }
    for (name, value) in &config.headers {
        let what = || format!("the header `{name}`");
        let name = HeaderName::try_from(name.as_str()).map_err(|_| unusable(what()))?;
        headers.insert(name, secret(value.expose_secret(), what())?);
    }
    Ok(headers)
}
