//! What would be sent where.

use std::collections::{BTreeMap, BTreeSet};

use judge_run::endpoint::provider;
use judge_run::judge::redact::Redact;

use super::asked::{Asked, Asker, Model};
use super::finding::Destination;
use crate::cli::endpoint::Layers;

/// Hosts and what traces and records they would get, by command.
pub(super) fn of(layers: &Layers, models: &[Model], judges: &[Asked], asker: &Asker<'_>) -> Vec<Destination> {
    // An error in the rules is a separate finding.
    let redact = Redact::of(&layers.file.redact).ok().flatten();
    let redacted: Vec<_> = redact.iter().flat_map(Redact::names).map(ToOwned::to_owned).collect();
    let mut of_hosts = BTreeMap::<String, BTreeSet<&str>>::new();
    let mut quota_servers = BTreeSet::new();
    for model in models.iter().filter(|model| model.is_asked) {
        let Ok((plan, _)) = layers.endpoint(&model.uri, asker.env()) else { continue };
        for address in plan.members.iter().filter_map(|member| member.base_url.as_deref()) {
            of_hosts
                .entry(provider::host(address).to_owned())
                .or_default()
                .extend(model.judges.iter().map(String::as_str));
        }
        quota_servers.extend(plan.quota_server.map(|server| provider::host(&server.address).to_owned()));
    }
    let prompts = of_hosts.into_iter().map(|(host, names)| {
        let shown: BTreeSet<_> = judges
            .iter()
            .filter(|asked| names.contains(asked.judge.name.as_str()))
            .flat_map(|asked| asked.judge.shows())
            .collect();
        let data = match names.len() {
            0 => "what the judges' prompts show of traces".to_owned(),
            _ => format!("prompts of {}, which show {}", joined(&names), joined(&shown)),
        };
        Destination { host, data, command: "a run".into(), redacted: redacted.clone() }
    });
    let quotas = quota_servers.into_iter().map(|host| Destination {
        host,
        data: "numbers of requests and tokens, and a hash of the endpoint and its key: nothing of traces".into(),
        command: "a run".into(),
        redacted: Vec::new(),
    });
    let pushes = asker.pushes().into_iter().map(|(host, command)| Destination {
        host,
        data: "records of the log: verdicts, rationales, errors, metadata, ids of traces".into(),
        command: command.into(),
        redacted: redacted.clone(),
    });
    prompts.chain(quotas).chain(pushes).collect()
}

fn joined(names: &BTreeSet<&str>) -> String {
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
