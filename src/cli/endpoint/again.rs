//! The endpoint of an earlier run, from its plan.

use std::num::NonZeroU32;

use judge_run::run::{EndpointPlan, MemberPlan};

use super::{Layers, Secrets, environment_url};
use crate::cli::config_file::{EndpointTable, PoolTable};
use crate::cli::environment::Env;
use crate::cli::error::CliError;

impl Layers {
    /// The endpoint of an earlier run. Flags override its plan; what the plan omits comes from flags, the configuration file or the environment.
    pub(crate) fn endpoint_again(
        &self,
        plan: &EndpointPlan,
        env: Env<'_>,
    ) -> Result<(EndpointPlan, Secrets), CliError> {
        if plan.is_simulated() {
            return self.plan(&plan.model, &table_of(plan), env);
        }
        let name = &plan.model.endpoint;
        let mut file = self.below(name);
        let withheld = &plan.withheld;
        let missing = |what: &str, remedy: &str| {
            CliError::usage_with_hint(
                format_args!("{what} of `{name}` may be secret and is not stored in the manifest"),
                format_args!("give it again: `{remedy}`"),
            )
        };
        let mut table = table_of(plan);
        let of_environment = environment_url(name, env);
        let secret_url = |i: usize, member: &MemberPlan| -> Result<Option<String>, CliError> {
            if !member.has_secret_address || self.flags.base_url.is_some() {
                return Ok(member.base_url.clone());
            }
            let is_pool = plan.members.len() > 1;
            let of_member = file.pool.get(i).filter(|_| is_pool).and_then(|member| member.base_url.as_ref());
            let of_file = of_member.or(file.base_url.as_ref());
            let found = of_file.or(of_environment.as_ref()).cloned();
            found.map(Some).ok_or_else(|| missing("the address", "--base-url URL"))
        };
        let urls = plan.members.iter().enumerate().map(|(i, member)| secret_url(i, member));
        let urls = urls.collect::<Result<Vec<_>, _>>()?;
        table.base_url = urls.first().cloned().flatten();
        for (member, url) in table.pool.iter_mut().zip(urls) {
            member.base_url = url;
        }
        if let Some(name) = withheld
            .headers
            .iter()
            .find(|name| !self.flags.headers.contains_key(*name) && !file.headers.contains_key(*name))
        {
            return Err(missing(&format!("the header `{name}`"), &format!("--header '{name}: VALUE'")));
        }
        if let Some(name) = withheld
            .extra_body
            .iter()
            .find(|name| !self.flags.extra_body.contains_key(*name) && !file.extra_body.contains_key(*name))
        {
            return Err(missing(
                &format!("`{name}` in the request body"),
                &format!("--extra-body '{{\"{name}\": VALUE}}'"),
            ));
        }
        file.headers.retain(|name, _| withheld.headers.contains(name));
        file.extra_body.retain(|name, _| withheld.extra_body.contains(name));
        let of_file = EndpointTable {
            headers: file.headers,
            extra_body: file.extra_body,
            prices: file.prices,
            ..EndpointTable::default()
        };
        self.plan(&plan.model, &table.over(of_file), env)
    }
}

/// A plan as it would be in the configuration file.
fn table_of(plan: &EndpointPlan) -> EndpointTable {
    let EndpointPlan {
        model,
        members,
        headers,
        ca_cert,
        timeout,
        rpd,
        quota_server,
        service_tier,
        extra_body,
        prices,
        withheld: _,
    } = plan;
    let member = |member: &MemberPlan| PoolTable {
        base_url: member.base_url.clone(),
        api_key_env: member.api_key_env.clone(),
        rpm: member.rpm.and_then(NonZeroU32::new),
        tpm: member.tpm.and_then(NonZeroU32::new),
        concurrency: u32::try_from(member.concurrency).ok().and_then(NonZeroU32::new),
    };
    let tier = service_tier.clone().map(|tier| ("service_tier".to_owned(), tier.into()));
    let table = EndpointTable {
        headers: headers.clone(),
        ca_cert: ca_cert.clone(),
        rpd: *rpd,
        quota_server: quota_server.as_ref().map(|server| server.address.clone()),
        quota_share: quota_server.as_ref().and_then(|server| server.share),
        burst: members.first().and_then(|member| member.burst),
        timeout: Some(*timeout),
        extra_body: extra_body.clone().into_iter().chain(tier).collect(),
        prices: prices.map(|prices| (model.model.clone(), prices)).into_iter().collect(),
        ..EndpointTable::default()
    };
    match members.as_slice() {
        [only] => table.with(&member(only)),
        several => EndpointTable { pool: several.iter().map(member).collect(), ..table },
    }
}
