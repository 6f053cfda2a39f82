//! What a run is going to do: plain values, resolved from everything that can set them. No file is open yet, and nothing here is secret: no key,
//! no header value, no user, password or query of an address, and only numbers and booleans of what is added to request bodies.
//!
//! The manifest keeps it, so that a failure can be retried later as its own run was set up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::batching::BatchPlan;
use super::budget::Budget;
use super::fingerprint::Dataset;
use super::millis;
use super::selection::SampleSize;
use super::settings::Policy;
use super::shard::Shard;
use super::sides::SidesPlan;
use crate::dataset::{Format, Mapping};
use crate::endpoint::ModelUri;
use crate::endpoint::prices::Prices;
use crate::endpoint::wire::Layout;
use crate::feedback::forms::Form;
use crate::judge::redact::RedactPlan;
use crate::judge::{Given, JudgeKind};
use crate::run::panel::aggregation::Aggregation;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The files of traces, in order.
    pub datasets: Vec<Dataset>,
    /// How they are read.
    pub reading: Reading,
    /// Which of the traces.
    pub selection: SelectionPlan,
    /// The judges, each with its model.
    pub judges: Vec<JudgePlan>,
    /// The judges whose votes are combined into one verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub panels: Vec<PanelPlan>,
    /// The rubrics with an `aggregate`, all of whose criteria are asked about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rubrics: Vec<String>,
    /// One for each model that judges ask.
    pub endpoints: Vec<EndpointPlan>,
    /// What is made from the log at the end.
    pub export: Option<Export>,
    /// What is retried, and how the run begins.
    pub policy: Policy,
    /// What the run may spend.
    pub budget: Budget,
    /// How long an interrupted run waits for answers in flight.
    #[serde(rename = "grace_ms", with = "millis")]
    pub grace: Duration,
    /// The configuration file that was read, absolute.
    pub config: Option<PathBuf>,
    /// The file of environment variables that was read, absolute.
    pub env_file: Option<PathBuf>,
    /// Of the file of anchors, if the run judges those, to see whether the judge has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchors: Option<String>,
    /// What judges do not see of the traces.
    #[serde(default, skip_serializing_if = "RedactPlan::is_empty")]
    pub redact: RedactPlan,
    /// How requests go in batches, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchPlan>,
    /// Whose outputs are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<SidesPlan>,
    /// What prompts begin with.
    #[serde(default, skip_serializing_if = "Layout::is_default")]
    pub layout: Layout,
}

/// How a dataset is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What its content does not show.
    pub format: Option<Format>,
    /// Fields that have other names.
    pub map: Vec<Mapping>,
    /// Longer lines, rows and objects are rejected.
    pub max_line_bytes: usize,
    /// Whether the first rejected line ends the run.
    pub strict: bool,
}

/// Which traces of the dataset; all by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SelectionPlan {
    /// One part of the dataset.
    pub shard: Option<Shard>,
    /// Trace ids; `@FILE` means those in a file.
    pub trace_ids: Vec<String>,
    /// An expression.
    pub filter: Option<String>,
    /// How many are drawn.
    pub sample: Option<SampleSize>,
    /// Which sample is drawn.
    pub seed: u64,
    /// An expression: each of its values is drawn from separately.
    pub stratify: Option<String>,
    /// The first of what is left.
    pub limit: Option<u64>,
}

/// A judge, and the model that it asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgePlan {
    /// The `name` of the feedback.
    pub name: String,
    /// The rubric that it is a criterion of: then its name is `RUBRIC.CRITERION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rubric: Option<String>,
    /// The file's `version`.
    pub version: u32,
    /// Absolute; `None` for a built-in judge.
    pub file: Option<PathBuf>,
    /// Of the TOML text.
    pub blake3: String,
    /// Who gives the verdict.
    #[serde(default)]
    pub kind: JudgeKind,
    /// The model, or its substitute.
    pub model: ModelUri,
    /// The settings of its parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: Given,
    /// The traces that its examples were taken from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

/// A judge whose votes are combined into one verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PanelPlan {
    /// The judge's name.
    pub judge: String,
    /// The models; in a cascade, the deciding one comes last.
    pub voters: Vec<ModelUri>,
    /// Votes of each of them; the deciding one has one.
    pub samples: u32,
    /// How the votes become one verdict.
    pub aggregation: Aggregation,
    /// Verdicts that it takes.
    pub quorum: u32,
    /// In a cascade: whether bad verdicts are left to the deciding model.
    #[serde(default)]
    pub escalates_bad: bool,
    /// In a cascade: the lowest confidence at which the first votes decide; without it they must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalates_below: Option<f64>,
}

/// An endpoint and one model on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointPlan {
    /// The model, by which the judges refer to it.
    pub model: ModelUri,
    /// One deployment or key, or several that share the work. Never empty.
    pub members: Vec<MemberPlan>,
    /// Headers of requests whose values show only names of environment variables, as written: `Bearer ${TOKEN}`.
    pub headers: BTreeMap<String, String>,
    /// A file of further certificate authorities, absolute.
    pub ca_cert: Option<PathBuf>,
    /// For one answer.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
    /// Requests a day.
    pub rpd: Option<u64>,
    /// The server that keeps requests and tokens per minute, if several processes share them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_server: Option<QuotaPlan>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// Numbers and switches that every request body has.
    pub extra_body: Map<String, Value>,
    /// What tokens cost.
    pub prices: Option<Prices>,
    /// What requests contain but the plan omits.
    #[serde(default)]
    pub withheld: Withheld,
}

/// A quota of several processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuotaPlan {
    /// Of a Redis or Valkey server, without a user or a password.
    pub address: String,
    /// This process's share while the server is unreachable.
    pub share: Option<f64>,
}

/// One deployment or key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberPlan {
    /// Without user, password and query; `None` for the simulator inside the process.
    pub base_url: Option<String>,
    /// Whether the address has a user, a password or a query.
    #[serde(default)]
    pub has_secret_address: bool,
    /// The environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// Requests in flight at most.
    pub concurrency: usize,
    /// Requests a minute.
    pub rpm: Option<u32>,
    /// Tokens a minute.
    pub tpm: Option<u32>,
    /// How much of the quota may be spent in one burst.
    #[serde(rename = "burst_ms", with = "millis::option")]
    pub burst: Option<Duration>,
}

/// The names of what may be secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Withheld {
    /// Headers.
    pub headers: BTreeSet<String>,
    /// Members of request bodies.
    pub extra_body: BTreeSet<String>,
}

/// A file that is made from the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Its name.
    pub path: PathBuf,
    /// Its form.
    pub form: Form,
    /// What it has in addition to the feedback, if it is a table.
    #[serde(default)]
    pub table: TablePlan,
}

/// What a table has in addition to the feedback.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TablePlan {
    /// Fields of the traces, of [`crate::feedback::forms::INCLUDED`].
    pub include: Vec<String>,
    /// Whether it begins with a byte order mark.
    pub bom: bool,
}

impl RunPlan {
    /// The endpoint of a model that judges ask.
    pub fn endpoint(&self, model: &ModelUri) -> Option<&EndpointPlan> {
        self.endpoints.iter().find(|endpoint| endpoint.model == *model)
    }

    /// The panel of a judge.
    pub fn panel(&self, judge: &str) -> Option<&PanelPlan> {
        self.panels.iter().find(|panel| panel.judge == judge)
    }

    /// The number of independent answers asked of one model.
    pub fn samples(&self, judge: &JudgePlan) -> u32 {
        self.panel(&judge.name).map_or(1, |panel| match panel.aggregation {
            Aggregation::Cascade if panel.voters.last() == Some(&judge.model) => 1,
            _ => panel.samples,
        })
    }

    /// Keeps only the judges with cascades, with the deciding models, about these traces.
    pub fn escalate(&mut self, trace_ids: Vec<String>) {
        let Self { judges, panels, selection, .. } = self;
        let decides = |judge: &JudgePlan| {
            let panel = panels.iter().find(|panel| panel.judge == judge.name)?;
            (panel.aggregation == Aggregation::Cascade).then(|| panel.voters.last().cloned())?
        };
        let mut left: Vec<JudgePlan> = Vec::new();
        for judge in judges.drain(..) {
            if let Some(model) = decides(&judge)
                && !left.iter().any(|other| other.name == judge.name)
            {
                left.push(JudgePlan { model, ..judge });
            }
        }
        *judges = left;
        *selection = SelectionPlan { trace_ids, ..SelectionPlan::default() };
    }

    /// Whether verdicts are made up inside the process.
    pub fn is_simulated(&self) -> bool {
        self.endpoints.iter().any(EndpointPlan::is_simulated)
    }

    /// Keeps only these judges, and the endpoints that they ask.
    pub fn retain_judges(&mut self, keep: impl FnMut(&JudgePlan) -> bool) {
        self.judges.retain(keep);
        let Self { judges, endpoints, .. } = self;
        endpoints.retain(|endpoint| judges.iter().any(|judge| judge.model == endpoint.model));
    }

    /// Whether this plan, the newer one, asks about everything that a judge of another asks about.
    fn asks_the_same(&self, judge: &JudgePlan, other: &Self, of_other: &JudgePlan) -> bool {
        let has = |dataset: &Dataset| self.datasets.iter().any(|own| own.path == dataset.path);
        let body = |plan: &Self, judge: &JudgePlan| {
            plan.endpoint(&judge.model)
                .map(|endpoint| (endpoint.extra_body.clone(), endpoint.withheld.extra_body.clone()))
        };
        (&judge.name, &judge.file, &judge.model) == (&of_other.name, &of_other.file, &of_other.model)
            && judge.params == of_other.params
            && self.sides == other.sides
            && other.datasets.iter().all(has)
            && self.samples(judge) >= other.samples(of_other)
            && (self.selection.shard.is_none() || self.selection.shard == other.selection.shard)
            && (&self.reading.format, &self.reading.map) == (&other.reading.format, &other.reading.map)
            && body(self, judge) == body(other, of_other)
    }

    /// Adds a run's set-up. For each judge, model and dataset the newest set-up is kept, and of all at most
    /// [`RunPlan::MAX_KEPT`]; the newest comes first.
    pub fn remember(self, plans: &mut Vec<Self>) {
        for plan in plans.iter_mut() {
            let old = plan.clone();
            plan.retain_judges(|judge| !self.judges.iter().any(|newer| self.asks_the_same(newer, &old, judge)));
        }
        plans.retain(|plan| !plan.judges.is_empty());
        plans.insert(0, self);
        plans.truncate(Self::MAX_KEPT);
    }

    /// The most set-ups of one log. With more, it is a log for everything, and its oldest failures are retried by their own command.
    pub const MAX_KEPT: usize = 64;
}

impl EndpointPlan {
    /// Whether verdicts are made up inside the process.
    pub fn is_simulated(&self) -> bool {
        self.members.iter().all(|member| member.base_url.is_none())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(dataset: &str, judges: &[(&str, &str)]) -> RunPlan {
        let judges: Vec<_> = judges
            .iter()
            .map(|(name, model)| JudgePlan {
                name: (*name).to_owned(),
                rubric: None,
                version: 1,
                file: None,
                blake3: String::new(),
                kind: JudgeKind::Llm,
                model: model.parse().unwrap(),
                params: Given::new(),
                examples: Vec::new(),
            })
            .collect();
        let endpoints = judges.iter().map(|judge| EndpointPlan {
            model: judge.model.clone(),
            members: vec![MemberPlan {
                base_url: Some("http://h/v1".to_owned()),
                has_secret_address: false,
                api_key_env: None,
                concurrency: 16,
                rpm: Some(60),
                tpm: None,
                burst: Some(Duration::from_millis(500)),
            }],
            headers: BTreeMap::new(),
            ca_cert: None,
            timeout: Duration::from_secs(600),
            rpd: None,
            quota_server: None,
            service_tier: None,
            extra_body: Map::new(),
            prices: None,
            withheld: Withheld::default(),
        });
        RunPlan {
            datasets: vec![Dataset { path: dataset.into(), fingerprint: None }],
            reading: Reading {
                format: Some("csv".parse().unwrap()),
                map: vec!["inputs=q".parse().unwrap()],
                max_line_bytes: 9,
                strict: false,
            },
            selection: SelectionPlan { sample: Some("5%".parse().unwrap()), ..SelectionPlan::default() },
            panels: Vec::new(),
            rubrics: Vec::new(),
            endpoints: endpoints.collect(),
            judges,
            export: None,
            policy: Policy::default(),
            budget: Budget { errors: Some("5%".parse().unwrap()), ..Budget::default() },
            grace: Duration::from_secs(30),
            config: None,
            env_file: None,
            anchors: None,
            redact: RedactPlan::default(),
            sides: None,
            layout: Layout::default(),
            batch: None,
        }
    }

    fn names(plans: &[RunPlan]) -> Vec<Vec<String>> {
        plans.iter().map(|plan| plan.judges.iter().map(|judge| judge.name.clone()).collect()).collect()
    }

    #[test]
    fn a_plan_comes_back_from_json_as_it_was() {
        let plan = plan("t.jsonl", &[("a", "e:/m")]);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<RunPlan>(&text).unwrap(), plan);
        for part in [r#""timeout_ms":600000"#, r#""burst_ms":500"#, r#""errors":"5%""#, r#""map":["inputs=q"]"#] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn the_newest_set_up_of_each_judge_model_and_dataset_is_kept() {
        let mut plans = Vec::new();
        plan("t", &[("a", "e:/m"), ("b", "e:/m")]).remember(&mut plans);
        plan("t", &[("a", "f:/m")]).remember(&mut plans);
        plan("u", &[("a", "e:/m")]).remember(&mut plans);
        assert_eq!(names(&plans), [vec!["a"], vec!["a"], vec!["a", "b"]]);
        plan("t", &[("b", "e:/m"), ("c", "e:/m")]).remember(&mut plans);
        assert_eq!(names(&plans), [vec!["b", "c"], vec!["a"], vec!["a"], vec!["a"]]);
        plan("t", &[("a", "e:/m"), ("b", "e:/m"), ("c", "e:/m")]).remember(&mut plans);
        assert_eq!(names(&plans), [vec!["a", "b", "c"], vec!["a"], vec!["a"]]);
        // A folder that has grown is the same folder.
        let mut grown = plan("u", &[("a", "e:/m")]);
        grown.datasets.push(Dataset { path: "v".into(), fingerprint: None });
        grown.remember(&mut plans);
        assert_eq!(names(&plans), [vec!["a"], vec!["a", "b", "c"], vec!["a"]]);
        // Each shard reads its own part.
        for shard in ["1/2", "2/2"] {
            let mut part = plan("u", &[("d", "e:/m")]);
            part.selection.shard = Some(shard.parse().unwrap());
            part.remember(&mut plans);
        }
        assert_eq!(names(&plans)[..2], [["d"], ["d"]]);
        plan("u", &[("d", "e:/m")]).remember(&mut plans);
        assert_eq!(names(&plans), [vec!["d"], vec!["a"], vec!["a", "b", "c"], vec!["a"]]);
        // Whatever changes the judgments is another set-up.
        let mut other = plan("t", &[("a", "e:/m")]);
        other.endpoints[0].extra_body.insert("seed".to_owned(), 1.into());
        other.remember(&mut plans);
        assert_eq!(plans.len(), 5);
        for i in 0..100 {
            plan(&format!("{i}"), &[("a", "e:/m")]).remember(&mut plans);
        }
        assert_eq!((plans.len(), plans[0].datasets[0].path.to_str()), (RunPlan::MAX_KEPT, Some("99")));
    }

    #[test]
    fn endpoints_that_no_judge_asks_are_dropped() {
        let mut plan = plan("t", &[("a", "e:/m"), ("b", "f:/m")]);
        plan.retain_judges(|judge| judge.name == "b");
        assert_eq!(plan.endpoints.iter().map(|endpoint| endpoint.model.to_string()).collect::<Vec<_>>(), ["f:/m"]);
    }
}
