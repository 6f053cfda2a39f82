//! The answers of endpoints and servers, to requests that judge nothing and cost nothing.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;

use judge_run::endpoint::ModelUri;
use judge_run::endpoint::client::{Client, without_credentials};
use judge_run::endpoint::config::EndpointConfig;
use judge_run::endpoint::provider;
use judge_run::judge::{Given, Judge, library};
use judge_run::servers::ServerError;
use judge_run::servers::langfuse::Langfuse;
use judge_run::servers::mlflow::{JudgeUri, Server, Settings};
use judge_run::servers::phoenix::Phoenix;
use tokio::runtime::{Builder, Runtime};

use super::finding::{Diagnosis, Finding, Part};
use crate::cli::endpoint::{Layers, default_model, open, set};
use crate::cli::environment::Env;
use crate::cli::error::CliError;
use crate::cli::mlflow::args::ServerArgs;
use crate::cli::mlflow::{self, experiment_of};
use crate::cli::neighbours::{LANGFUSE_ACCESS, PHOENIX_ACCESS};
use crate::cli::print::counted;
use crate::cli::setting::{self, Setting};

/// A judge of the configuration.
pub(super) struct Asked {
    /// As it is named.
    pub wanted: String,
    pub judge: Judge,
    /// Its parameters.
    pub given: Given,
}

/// A model that would be asked; or an endpoint that is only configured, which has none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub uri: ModelUri,
    pub is_asked: bool,
    pub judges: Vec<String>,
}

/// Who asks.
pub(super) struct Asker<'a> {
    /// `None` with `--offline`.
    runtime: Option<Runtime>,
    server: &'a ServerArgs,
    env: Env<'a>,
    /// Whether requests go in batches.
    in_batches: bool,
}

/// The models that these judges ask, `strong` if their votes differ, the one that is configured, and the other endpoints of the configuration.
pub(super) fn models(
    layers: &Layers,
    judges: &[Asked],
    strong: Option<&ModelUri>,
    diagnosis: &mut Diagnosis,
) -> Vec<Model> {
    let mut models = Vec::<Model>::new();
    let mut add = |uri: ModelUri, judge: Option<&str>| {
        let place = models.iter().position(|model| model.uri == uri).unwrap_or(models.len());
        if place == models.len() {
            models.push(Model { uri, is_asked: true, judges: Vec::new() });
        }
        models[place].judges.extend(judge.map(ToOwned::to_owned));
    };
    for Asked { judge, .. } in judges.iter().filter(|asked| asked.judge.kind() == judge_run::judge::JudgeKind::Llm) {
        match layers.voters(judge.model.as_ref()) {
            Ok(mut voters) => {
                voters.extend(strong.map(|uri| layers.ask(Some(uri))));
                voters.into_iter().for_each(|uri| add(uri, Some(&judge.name)));
            }
            Err(error) => diagnosis.add([Finding::of_error(Part::Endpoint, &judge.name, error)]),
        }
    }
    let is_named = layers.file.model.is_some() || !layers.models.is_empty() || layers.simulate;
    if judges.is_empty() && (is_named || layers.names_an_address()) {
        add(layers.model(None), None);
    } else if judges.is_empty() {
        let detail = format!("a run would ask {}, the default", default_model());
        diagnosis.add([Finding::warning(Part::Endpoint, "no judge and no model given", detail)]);
    }
    if let Some(uri) = strong.filter(|_| judges.is_empty()) {
        add(layers.ask(Some(uri)), None);
    }
    let known: BTreeSet<_> = models.iter().map(|model| model.uri.endpoint.clone()).collect();
    for name in layers.file.endpoints.keys().filter(|name| !known.contains(*name) && !layers.simulate) {
        let uri = ModelUri { endpoint: name.clone(), model: String::new() };
        models.push(Model { uri, is_asked: false, judges: Vec::new() });
    }
    models
}

/// Whether dataset or judges live on the tracking server.
pub(super) fn needs_mlflow(dataset: &[PathBuf], judges: &[String]) -> bool {
    dataset.iter().any(|path| experiment_of(path).is_some()) || judges.iter().any(|judge| JudgeUri::is_meant(judge))
}

impl Model {
    /// As it is called.
    pub(super) fn name(&self) -> String {
        if self.is_asked { self.uri.to_string() } else { self.uri.endpoint.clone() }
    }
}

impl<'a> Asker<'a> {
    pub(super) fn new(offline: bool, server: &'a ServerArgs, in_batches: bool, env: Env<'a>) -> Result<Self, CliError> {
        let runtime = if offline { None } else { Some(Builder::new_current_thread().enable_all().build()?) };
        Ok(Self { runtime, server, env, in_batches })
    }

    /// The answer; `None` if nothing is to be asked.
    pub(super) fn ask<T>(&self, request: impl Future<Output = T>) -> Option<T> {
        self.runtime.as_ref().map(|runtime| runtime.block_on(request))
    }

    /// A judge, or the criteria of a rubric; `None` of one that is on a server, which is not asked.
    pub(super) fn judges(
        &self,
        wanted: &str,
        settings: &[Setting],
        dataset: &[PathBuf],
    ) -> Result<Option<Vec<Asked>>, CliError> {
        let given = |name: &str| setting::of_judge(settings, name);
        let asked = |judge: Judge| Asked { wanted: wanted.to_owned(), given: given(judge.file_name()), judge };
        if !JudgeUri::is_meant(wanted) {
            let found = library::find_all_with(wanted, given).map_err(|error| CliError::of(&error))?;
            return Ok(Some(found.into_iter().map(asked).collect()));
        }
        let uri = wanted.parse().map_err(|error| CliError::usage(format_args!("the judge `{wanted}`: {error}")))?;
        if self.runtime.is_none() {
            return Ok(None);
        }
        let experiment = dataset.iter().find_map(|path| experiment_of(path));
        let imported = mlflow::imported(&uri, self.server, experiment)?;
        let judges = Judge::compile_all(&imported.name, &imported.toml, wanted, &given(&imported.name));
        let judges = judges.map_err(|error| CliError::of(&error))?;
        Ok(Some(judges.into_iter().map(asked).collect()))
    }

    /// An endpoint: its members, one after another, and the server of its quota.
    pub(super) fn endpoint(&self, layers: &Layers, model: &Model) -> Vec<Finding> {
        let opened = layers.endpoint(&model.uri, self.env).and_then(|(plan, secrets)| {
            // A simulator in this process is not started for this.
            let is_here = plan.members.iter().all(|member| member.base_url.is_none());
            Ok((open::open(&plan, &secrets, None, self.env)?, is_here))
        });
        let lane = match opened {
            Err(error) => return vec![Finding::of_error(Part::Endpoint, model.name(), error)],
            Ok((_, true)) => return vec![Finding::ok(Part::Endpoint, model.name(), "made up in this process")],
            Ok((lane, false)) => lane,
        };
        let mut findings: Vec<_> = lane.pool.iter().map(|member| self.member(model, member)).collect();
        if self.in_batches && model.is_asked {
            findings.push(self.batches(model, lane.pool.first()));
        }
        if let Some(server) = lane.pool.iter().find_map(|member| member.quota_server.as_ref()) {
            findings.push(match self.ask(server.ping()) {
                None => Finding::not_asked(Part::QuotaServer, server.address(), ""),
                Some(Ok(())) => Finding::ok(Part::QuotaServer, server.address(), "answers"),
                Some(Err(error)) => {
                    let remedy = "runs keep to a share of the quota until it answers";
                    Finding::fails(Part::QuotaServer, server.address(), error.to_string(), Some(remedy.into()))
                }
            });
        }
        findings
    }

    fn member(&self, model: &Model, member: &EndpointConfig) -> Finding {
        let about = format!("{} with {}", without_credentials(&member.base_url), access(member));
        let client = match Client::new(member, &model.uri.model) {
            Ok(client) => client,
            Err(error) => return Finding::of_error(Part::Endpoint, model.name(), CliError::of(&error)),
        };
        match self.ask(client.models()) {
            None => Finding::not_asked(Part::Endpoint, model.name(), about),
            Some(Ok(None)) => {
                let check = match model.is_asked {
                    true => format!("; `judge-run check -m {}` asks one question", model.uri),
                    false => String::new(),
                };
                Finding::ok(Part::Endpoint, model.name(), format!("{about} answers, but lists no models{check}"))
            }
            Some(Ok(Some(models))) => {
                let n = counted(models.len() as u64, "model");
                let has = |name: &str| models.iter().any(|known| known == name || known.ends_with(&format!("/{name}")));
                let is_listed = !model.is_asked || models.is_empty() || has(&model.uri.model);
                match is_listed || has(&format!("{}:latest", model.uri.model)) {
                    true => Finding::ok(Part::Endpoint, model.name(), format!("{about} answers; {n}")),
                    false => {
                        let detail = format!("{about} answers; {n}, but not this one, which may be an alias");
                        Finding::warning(Part::Endpoint, model.name(), detail)
                    }
                }
            }
            Some(Err(failure)) => {
                let remedy = failure.code.traits().remedy.to_owned();
                Finding::fails(Part::Endpoint, model.name(), format!("{about}: {failure}"), Some(remedy))
            }
        }
    }

    /// The tracking server, if one is named; datasets and judges on it need it.
    pub(super) fn mlflow(&self, dataset: &[PathBuf], is_needed: bool) -> Vec<Finding> {
        let is_named = self.server.tracking_uri.is_some() || set(Settings::ADDRESS, self.env).is_some();
        if !is_named && !is_needed {
            return Vec::new();
        }
        let server = match mlflow::server(self.server) {
            Ok(server) => server,
            // The variable may be meant for other programs alone.
            Err(error) if !is_needed && self.server.tracking_uri.is_none() => {
                return vec![Finding::warning(Part::Mlflow, Settings::ADDRESS, error.into_parts().0)];
            }
            Err(error) => return vec![Finding::of_error(Part::Mlflow, Settings::ADDRESS, error)],
        };
        let name = server.address().to_owned();
        let asked = self.ask(async {
            let version = server.version().await?;
            server.access().await?;
            Ok::<_, ServerError>(version)
        });
        let mut findings = Vec::new();
        match asked {
            None => findings.push(Finding::not_asked(Part::Mlflow, &name, "")),
            Some(Ok(version)) if Server::is_too_old(&version) => {
                let detail = format!("MLflow {version}: traces can be pulled, feedback needs 3.2 or later");
                findings.push(Finding::warning(Part::Mlflow, &name, detail));
            }
            Some(Ok(version)) => findings.push(Finding::ok(Part::Mlflow, &name, format!("MLflow {version}"))),
            Some(Err(error)) => {
                findings.push(Finding::of_error(Part::Mlflow, &name, mlflow::failed(&error)));
                return findings;
            }
        }
        for path in dataset {
            let Some(experiment) = experiment_of(path) else { continue };
            findings.push(match self.ask(server.experiment(experiment)) {
                None => Finding::not_asked(Part::Dataset, path.display(), "it is on the MLflow server"),
                Some(Ok(found)) => {
                    Finding::ok(Part::Dataset, path.display(), format!("experiment {} on {name}", found.id))
                }
                Some(Err(error)) => Finding::of_error(Part::Dataset, path.display(), mlflow::failed(&error)),
            });
        }
        findings
    }

    pub(super) fn phoenix(&self) -> Option<Finding> {
        let address = set("PHOENIX_HOST", self.env)?;
        let server = match Phoenix::new(&address, self.env) {
            Ok(server) => server,
            Err(error) => return Some(not_address(Part::Phoenix, "PHOENIX_HOST", &error)),
        };
        let name = server.address().to_owned();
        Some(match self.ask(server.access()) {
            None => Finding::not_asked(Part::Phoenix, name, ""),
            Some(Ok(())) => Finding::ok(Part::Phoenix, name, "answers"),
            Some(Err(error)) => of_server(Part::Phoenix, &name, &error, PHOENIX_ACCESS),
        })
    }

    pub(super) fn langfuse(&self) -> Option<Finding> {
        let address = set("LANGFUSE_HOST", self.env)?;
        let server = match Langfuse::new(&address, self.env) {
            Ok(server) => server,
            Err(error) => return Some(not_address(Part::Langfuse, "LANGFUSE_HOST", &error)),
        };
        let name = server.address().to_owned();
        Some(match self.ask(server.projects()) {
            None => Finding::not_asked(Part::Langfuse, name, ""),
            Some(Ok(projects)) => Finding::ok(Part::Langfuse, name, format!("the keys are of {}", projects.join(", "))),
            Some(Err(error)) => of_server(Part::Langfuse, &name, &error, LANGFUSE_ACCESS),
        })
    }

    /// The servers that feedback can be pushed to: host and command.
    pub(super) fn pushes(&self) -> Vec<(String, &'static str)> {
        let mlflow = mlflow::server(self.server).ok();
        let mlflow = mlflow.map(|server| (server.address().to_owned(), "--push, mlflow push"));
        let of = |variable, command| set(variable, self.env).map(|address| (address, command));
        let neighbours = [of("PHOENIX_HOST", "phoenix push"), of("LANGFUSE_HOST", "langfuse push")];
        let all = mlflow.into_iter().chain(neighbours.into_iter().flatten());
        all.map(|(address, command)| (provider::host(&address).to_owned(), command)).collect()
    }

    pub(super) fn env(&self) -> Env<'a> {
        self.env
    }
}

/// Whose key is sent, and which headers.
fn access(member: &EndpointConfig) -> String {
    let key = match (&member.api_key_env, &member.api_key) {
        (Some(variable), Some(_)) => format!("the key of {variable}"),
        _ => "no key".to_owned(),
    };
    match member.headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().as_slice() {
        [] => key,
        names => format!("{key} and the header {}", names.join(", ")),
    }
}

/// The variable may be meant for other programs, which write addresses differently.
fn not_address(part: Part, variable: &str, error: &ServerError) -> Finding {
    Finding::warning(part, variable, error.to_string())
}

fn of_server(part: Part, name: &str, error: &ServerError, access: &str) -> Finding {
    let remedy = matches!(error, ServerError::Refused { .. }).then(|| access.to_owned());
    Finding::fails(part, name, error.to_string(), remedy)
}
