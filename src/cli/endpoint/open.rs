//! From the plan of an endpoint to settings that can be used: the secrets are looked up here.

use std::num::NonZeroU32;

use judge_run::endpoint::config::{EndpointConfig, Pool};
use judge_run::endpoint::pacing::quota::Limits;
use judge_run::endpoint::pacing::shared::QuotaServer;
use judge_run::endpoint::provider::{self, KeyHeader};
use judge_run::run::{EndpointLane, EndpointPlan, QuotaPlan};
use judge_run_simulator::BackgroundSimulator;
use secrecy::SecretString;

use super::missing::unset_variable;
use super::{QUOTA_PASSWORD, QUOTA_USER, Secrets, set};
use crate::cli::command_line;
use crate::cli::environment::Env;
use crate::cli::error::CliError;
use crate::cli::paths::shown;

/// Usable settings. The key and other secrets are looked up now.
pub(crate) fn open(
    plan: &EndpointPlan,
    secrets: &Secrets,
    simulator: Option<&BackgroundSimulator>,
    env: Env<'_>,
) -> Result<EndpointLane, CliError> {
    let name = &plan.model.endpoint;
    let preset = provider::preset(name);
    let (mut headers, mut parts) = (Vec::new(), Vec::new());
    for (header, value) in plan.headers.iter().chain(&secrets.headers) {
        headers.push((header.clone(), SecretString::from(expanded(header, value, env, &mut parts)?)));
    }
    let mut extra_body = plan.extra_body.clone();
    extra_body.extend(secrets.extra_body.clone());
    extra_body.extend(plan.service_tier.clone().map(|tier| ("service_tier".to_owned(), tier.into())));
    let quota_server = plan.quota_server.as_ref().map(|server| quota_server(server, plan, env)).transpose()?;
    let mut members = Vec::new();
    for (i, member) in plan.members.iter().enumerate() {
        let secret_url = secrets.base_urls.get(i).cloned().flatten();
        let base_url = secret_url.or_else(|| member.base_url.clone());
        let key = match &member.api_key_env {
            None => None,
            Some(variable) => {
                let key =
                    set(variable, env).ok_or_else(|| unset_variable(variable, &format!("the plan of `{name}`")))?;
                Some(SecretString::from(key.trim().to_owned()))
            }
        };
        members.push(EndpointConfig {
            name: name.clone(),
            base_url: base_url.or_else(|| simulator.map(BackgroundSimulator::base_url)).unwrap_or_default(),
            api_key_env: member.api_key_env.clone(),
            api_key: key,
            key_header: preset.map_or(KeyHeader::Bearer, |preset| preset.key_header),
            headers: headers.clone(),
            secrets: parts.clone(),
            ca_cert: plan.ca_cert.as_deref().map(shown),
            timeout: plan.timeout,
            concurrency: member.concurrency,
            limits: Limits {
                rpm: member.rpm.and_then(NonZeroU32::new),
                tpm: member.tpm.and_then(NonZeroU32::new),
                burst: member.burst,
            },
            quota_server: quota_server.clone(),
            extra_body: extra_body.clone(),
            preset,
        });
    }
    let mut members = members.into_iter();
    let first = members.next().ok_or_else(|| CliError::usage(format_args!("the plan of `{name}` names no address")))?;
    let pool = Pool::new(first, members.collect());
    Ok(EndpointLane {
        pool,
        model: plan.model.model.clone(),
        prices: plan.prices,
        requests_per_day: plan.rpd,
        requests_today: 0,
    })
}

/// The server that keeps the quota. Its password comes from the environment alone.
fn quota_server(server: &QuotaPlan, plan: &EndpointPlan, env: Env<'_>) -> Result<QuotaServer, CliError> {
    let QuotaPlan { address, share } = server;
    let server = QuotaServer::new(address).map_err(|error| CliError::usage(format_args!("`{address}`: {error}")))?;
    let password = set(QUOTA_PASSWORD, env).map(|password| SecretString::from(password.trim().to_owned()));
    let ca_cert = plan.ca_cert.as_deref().map(shown);
    Ok(server.with_login(set(QUOTA_USER, env), password).with_ca_cert(ca_cert).with_share(*share))
}

/// `${NAME}` replaced by the variable of that name.
pub(super) fn expanded(
    header: &str,
    value: &str,
    env: &dyn Fn(&str) -> Option<String>,
    secrets: &mut Vec<SecretString>,
) -> Result<String, CliError> {
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, after)) = after.split_once('}') else {
            return Err(CliError::usage(format_args!("the header `{header}` has a `${{` without its `}}`")));
        };
        let value = env(name).ok_or_else(|| {
            // It may be the secret itself.
            let name = if command_line::is_variable_name(name) { format!(" {name}") } else { String::new() };
            CliError::usage(format_args!("the environment variable{name} of the header `{header}` is not set"))
        })?;
        text.push_str(before);
        text.push_str(&value);
        secrets.push(SecretString::from(value));
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}
