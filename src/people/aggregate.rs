//! What several people say together about each item, as separate feedback.

use std::collections::{BTreeMap, HashMap};

use judge_run_statistics::aggregate::{DawidSkene, Label, majority};
use judge_run_statistics::quantile::Sorted;
use serde::Serialize;
use serde_json::Value;

use super::edit::content_id;
use super::ratings::{Item, Ratings, Said};
use crate::feedback::{AGGREGATE, DOCUMENT_METADATA, Feedback, Source};

/// How votes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// The value with the most votes; a tie is undecided.
    Majority,
    /// Of numbers.
    Mean,
    /// Of numbers.
    Median,
    /// The most probable value, with raters weighted by how often they are right.
    DawidSkene,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Majority, Self::Mean, Self::Median, Self::DawidSkene];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Mean => "mean",
            Self::Median => "median",
            Self::DawidSkene => "dawid-skene",
        }
    }

    /// The source of the feedback that it makes.
    pub fn source(self) -> Source {
        Source::code(format!("{AGGREGATE}{}", self.as_str().replace('-', "_")))
    }
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How votes become one.
    pub method: Method,
    /// An item with fewer votes is undecided.
    pub quorum: u64,
    /// What the Dawid-Skene model adds to each count.
    pub smoothing: f64,
}

/// The combined result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aggregate {
    /// What is judged.
    pub name: String,
    /// How votes became one.
    pub method: &'static str,
    /// Items with a vote.
    pub n_items: u64,
    /// Who voted.
    pub n_annotators: u64,
    /// Items without a value, by reason.
    pub undecided: BTreeMap<&'static str, u64>,
    /// The frequency of each value, by Dawid-Skene.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prior: BTreeMap<String, f64>,
    /// Item by item.
    pub items: Vec<AggregateItem>,
    /// Annotator by annotator.
    pub annotators: Vec<Annotator>,
}

/// An item, and its combined result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AggregateItem {
    /// The trace.
    pub trace_id: String,
    /// The span, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    /// Which of its documents, from 0, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_index: Option<u32>,
    /// The value; `null` if undecided.
    pub value: Value,
    /// Why it is undecided: `tie` or `quorum`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undecided: Option<&'static str>,
    /// The probability of each value: by Dawid-Skene, otherwise the share of votes. Not for means and medians.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub posteriors: BTreeMap<String, f64>,
    /// Who said what.
    pub votes: BTreeMap<String, Value>,
    /// How many.
    pub n_votes: u64,
}

/// How good an annotator is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Annotator {
    /// Who.
    pub source_id: String,
    /// Votes.
    pub n: u64,
    /// The probability of being right by Dawid-Skene; otherwise how often the vote agrees with the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// For numbers: the mean distance of votes from the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_absolute_difference: Option<f64>,
    /// By Dawid-Skene: for each true value, the probability of each answer of the annotator.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub confusion: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Why votes cannot become one.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AggregateError {
    #[error("no one rated `{name}`")]
    Nobody { name: String },
    #[error("`{value}` is not a number, as {} needs", method.as_str())]
    NotNumbers { method: Method, value: String },
    #[error(transparent)]
    Statistics(#[from] judge_run_statistics::Error),
}

impl Eq for AggregateError {}

/// Combines the votes of these raters.
///
/// # Errors
/// When no one voted, or the votes do not fit the method.
pub fn aggregate(ratings: &Ratings, raters: &[usize], settings: &Settings) -> Result<Aggregate, AggregateError> {
    let are_meant = ratings.are_meant(raters);
    let voted = |item: &&Item| item.said_by(&are_meant).next().is_some();
    let items: Vec<&Item> = ratings.items.iter().filter(voted).collect();
    if items.is_empty() {
        return Err(AggregateError::Nobody { name: ratings.name.clone() });
    }
    let decided = match settings.method {
        Method::Majority | Method::DawidSkene => of_categories(ratings, raters, &items, settings)?,
        Method::Mean | Method::Median => of_numbers(ratings, raters, &items, settings)?,
    };
    let Decided { items: decided, prior, annotators } = decided;
    let mut undecided = BTreeMap::new();
    decided.iter().filter_map(|item| item.undecided).for_each(|reason| *undecided.entry(reason).or_insert(0) += 1);
    Ok(Aggregate {
        name: ratings.name.clone(),
        method: settings.method.as_str(),
        n_items: decided.len() as u64,
        n_annotators: annotators.len() as u64,
        undecided,
        prior,
        items: decided,
        annotators,
    })
}

struct Decided {
    items: Vec<AggregateItem>,
    prior: BTreeMap<String, f64>,
    annotators: Vec<Annotator>,
}

fn votes(ratings: &Ratings, are_meant: &[bool], item: &Item) -> BTreeMap<String, Value> {
    let vote = |(rater, said): (usize, &Said)| (ratings.raters[rater].source_id.clone(), said.json());
    item.said_by(are_meant).map(vote).collect()
}

fn undecided(item: &Item, votes: BTreeMap<String, Value>, quorum: u64) -> AggregateItem {
    let n_votes = votes.len() as u64;
    AggregateItem {
        trace_id: item.trace_id.clone(),
        span_id: item.span_id.clone(),
        document_index: item.document_index,
        value: Value::Null,
        undecided: (n_votes < quorum).then_some("quorum"),
        posteriors: BTreeMap::new(),
        votes,
        n_votes,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn of_categories(
    ratings: &Ratings,
    raters: &[usize],
    items: &[&Item],
    settings: &Settings,
) -> Result<Decided, AggregateError> {
    let categories = ratings.categories(raters);
    let names: Vec<String> = categories.iter().filter_map(Said::text).collect();
    let place = |said: &Said| categories.iter().position(|category| category == said);
    let are_meant = ratings.are_meant(raters);
    let columns: HashMap<usize, usize> = raters.iter().enumerate().map(|(column, rater)| (*rater, column)).collect();
    let mut labels: Vec<Label> = Vec::new();
    for (item, of) in items.iter().enumerate() {
        let label =
            |(rater, said): (usize, &Said)| Some(Label { item, rater: *columns.get(&rater)?, category: place(said)? });
        labels.extend(of.said_by(&are_meant).filter_map(label));
    }
    let named = |shares: &[f64]| names.iter().cloned().zip(shares.iter().copied()).collect::<BTreeMap<_, _>>();
    // One category alone leaves nothing to estimate.
    let model = match settings.method {
        Method::DawidSkene if categories.len() > 1 => Some(
            DawidSkene { smoothing: settings.smoothing, ..DawidSkene::default() }
                .estimate(&labels, categories.len())?,
        ),
        _ => None,
    };
    let mut counts = vec![vec![0_u64; categories.len()]; items.len()];
    labels.iter().for_each(|label| counts[label.item][label.category] += 1);
    let mut winners = Vec::new();
    let mut decided = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let mut of_item = undecided(item, votes(ratings, &are_meant, item), settings.quorum);
        let all: u64 = counts[number].iter().sum();
        let shares: Vec<f64> = match &model {
            Some(model) => model.posteriors[number].clone(),
            None => counts[number].iter().map(|votes| *votes as f64 / all.max(1) as f64).collect(),
        };
        let winner = match &model {
            Some(_) => most_likely(&shares),
            None => majority(&counts[number]),
        };
        of_item.posteriors = named(&shares);
        let winner = winner.filter(|_| of_item.undecided.is_none());
        match winner {
            Some(winner) => of_item.value = categories[winner].json(),
            None => of_item.undecided = of_item.undecided.or(Some("tie")),
        }
        winners.push(winner);
        decided.push(of_item);
    }
    let mut counted = vec![(0_u64, 0_u64, 0_u64); raters.len()];
    for label in &labels {
        let (n, judged, right) = &mut counted[label.rater];
        *n += 1;
        *judged += u64::from(winners[label.item].is_some());
        *right += u64::from(winners[label.item] == Some(label.category));
    }
    let annotators = raters.iter().enumerate().map(|(rater, id)| {
        let (n, judged, right) = counted[rater];
        let found = model.as_ref().filter(|model| rater < model.accuracies.len());
        let share = (judged > 0).then(|| right as f64 / judged as f64);
        Annotator {
            source_id: ratings.raters[*id].source_id.clone(),
            n,
            accuracy: found.map(|model| model.accuracies[rater]).or(share),
            mean_absolute_difference: None,
            confusion: found.map_or_else(BTreeMap::new, |model| {
                names.iter().cloned().zip(model.confusions[rater].iter().map(|row| named(row))).collect()
            }),
        }
    });
    let annotators = annotators.filter(|annotator| annotator.n > 0).collect();
    let prior = model.as_ref().map_or_else(BTreeMap::new, |model| named(&model.prior));
    Ok(Decided { items: decided, prior, annotators })
}

/// The category with the highest share; `None` for a tie.
fn most_likely(shares: &[f64]) -> Option<usize> {
    let best = (0..shares.len()).max_by(|a, b| shares[*a].total_cmp(&shares[*b]))?;
    let is_tied = shares.iter().enumerate().any(|(k, share)| k != best && (share - shares[best]).abs() < 1e-9);
    (!is_tied).then_some(best)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn of_numbers(
    ratings: &Ratings,
    raters: &[usize],
    items: &[&Item],
    settings: &Settings,
) -> Result<Decided, AggregateError> {
    let method = settings.method;
    let are_meant = ratings.are_meant(raters);
    let columns: HashMap<usize, usize> = raters.iter().enumerate().map(|(column, rater)| (*rater, column)).collect();
    let mut decided = Vec::new();
    let mut differences: Vec<Vec<f64>> = vec![Vec::new(); raters.len()];
    let mut counts = vec![0; raters.len()];
    for item in items {
        let mut numbers = Vec::new();
        for (rater, said) in item.said_by(&are_meant) {
            let Some(rater) = columns.get(&rater).copied() else { continue };
            let not_a_number = || AggregateError::NotNumbers { method, value: said.text().unwrap_or_default() };
            numbers.push((rater, said.number().ok_or_else(not_a_number)?));
            counts[rater] += 1;
        }
        let values: Vec<f64> = numbers.iter().map(|(_, value)| *value).collect();
        let together = match method {
            Method::Median => Sorted::new(values)?.median(),
            _ => values.iter().sum::<f64>() / values.len() as f64,
        };
        let mut of_item = undecided(item, votes(ratings, &are_meant, item), settings.quorum);
        if of_item.undecided.is_none() {
            of_item.value = Said::Number(together).json();
            numbers.iter().for_each(|(rater, value)| differences[*rater].push((value - together).abs()));
        }
        decided.push(of_item);
    }
    let annotators =
        raters.iter().zip(counts).zip(differences).filter(|((_, n), _)| *n > 0).map(|((id, n), differences)| {
            let mean = differences.iter().sum::<f64>() / differences.len() as f64;
            Annotator {
                source_id: ratings.raters[*id].source_id.clone(),
                n,
                accuracy: None,
                mean_absolute_difference: Some(mean).filter(|mean| mean.is_finite()),
                confusion: BTreeMap::new(),
            }
        });
    Ok(Decided { items: decided, prior: BTreeMap::new(), annotators: annotators.collect() })
}

impl Aggregate {
    /// The decision, as feedback by a program, with the votes in its metadata.
    pub fn records(&self, method: Method, now_ms: i64) -> Vec<Feedback> {
        let decided = self.items.iter().filter(|item| item.undecided.is_none());
        let record = |item: &AggregateItem| {
            let votes = serde_json::to_string(&item.votes).unwrap_or_default();
            let mut metadata = BTreeMap::from([
                ("votes".to_owned(), votes.clone()),
                ("n_votes".to_owned(), item.n_votes.to_string()),
                ("method".to_owned(), self.method.to_owned()),
            ]);
            metadata.extend(item.document_index.map(|index| (DOCUMENT_METADATA.to_owned(), index.to_string())));
            if !item.posteriors.is_empty() {
                metadata.insert("posteriors".to_owned(), serde_json::to_string(&item.posteriors).unwrap_or_default());
            }
            let record = Feedback {
                name: self.name.clone(),
                value: Some(item.value.clone()),
                source: method.source(),
                metadata,
                create_time_ms: now_ms,
                last_update_time_ms: now_ms,
                trace_id: Some(item.trace_id.clone()),
                span_id: item.span_id.clone(),
                ..Feedback::default()
            };
            let id = content_id(&record, votes.as_bytes());
            Feedback { assessment_id: Some(id.to_string()), ..record }
        };
        decided.map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ratings::{Rater, Rating};
    use super::*;
    use crate::feedback::SourceType;

    /// One row an item, one column a rater.
    fn ratings(rows: &[&[Option<Said>]]) -> Ratings {
        let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let rater = |n| Rater { source_type: SourceType::Human, source_id: format!("p{n}") };
        let item = |(n, row): (usize, &&[Option<Said>])| Item {
            trace_id: format!("t{n}"),
            ratings: row
                .iter()
                .enumerate()
                .filter_map(|(rater, said)| {
                    let said = said.clone()?;
                    Some(Rating { rater, said, rationale: None, confidence: None, digest: None, is_example: false })
                })
                .collect(),
            ..Item::default()
        };
        Ratings {
            name: "j".into(),
            raters: (0..width).map(rater).collect(),
            items: rows.iter().enumerate().map(item).collect(),
            ..Ratings::default()
        }
    }

    fn yes() -> Option<Said> {
        Some(Said::Boolean(true))
    }

    fn no() -> Option<Said> {
        Some(Said::Boolean(false))
    }

    fn settings(method: Method, quorum: u64) -> Settings {
        Settings { method, quorum, smoothing: 0.01 }
    }

    #[test]
    fn ties_and_quorums_are_explicit_and_the_votes_stay() {
        let votes = ratings(&[&[yes(), yes(), no()], &[yes(), no(), None], &[no(), None, None], &[None, None, None]]);
        let found = aggregate(&votes, &[0, 1, 2], &settings(Method::Majority, 2)).unwrap();
        let values: Vec<_> = found.items.iter().map(|item| (item.value.clone(), item.undecided)).collect();
        assert_eq!(values, [(json!(true), None), (Value::Null, Some("tie")), (Value::Null, Some("quorum"))]);
        assert_eq!(found.undecided, BTreeMap::from([("quorum", 1), ("tie", 1)]));
        assert_eq!(found.annotators.iter().map(|a| a.accuracy).collect::<Vec<_>>(), [Some(1.0), Some(1.0), Some(0.0)]);
        let records = found.records(Method::Majority, 5);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].source, Source::code("aggregate:majority"));
        assert_eq!(records[0].metadata["votes"], r#"{"p0":true,"p1":true,"p2":false}"#);
        assert_eq!(records, found.records(Method::Majority, 5));
        assert_eq!(
            records[0].assessment_id,
            found.records(Method::Majority, 9)[0].assessment_id,
            "the time is no part of it"
        );
    }

    #[test]
    fn dawid_and_skene_weigh_raters_and_numbers_are_averaged() {
        let row = |truth: bool| [Some(Said::Boolean(truth)), Some(Said::Boolean(truth)), Some(Said::Boolean(!truth))];
        let rows: Vec<[Option<Said>; 3]> = (0..30).map(|n| row(n % 2 == 0)).collect();
        let rows: Vec<&[Option<Said>]> = rows.iter().map(|row| &row[..]).collect();
        let found = aggregate(&ratings(&rows), &[0, 1, 2], &settings(Method::DawidSkene, 1)).unwrap();
        assert!(found.items[0].posteriors["true"] > 0.99 && found.annotators[2].accuracy < Some(0.1));
        let numbers = ratings(&[&[Some(Said::Number(1.0)), Some(Said::Number(2.0)), Some(Said::Number(6.0))]]);
        let of = |method| aggregate(&numbers, &[0, 1, 2], &settings(method, 1)).unwrap().items[0].value.clone();
        assert_eq!((of(Method::Mean), of(Method::Median)), (json!(3), json!(2)));
        let labels = ratings(&[&[Some(Said::Label("good".into()))]]);
        assert!(matches!(aggregate(&labels, &[0], &settings(Method::Mean, 1)), Err(AggregateError::NotNumbers { .. })));
        assert!(matches!(aggregate(&labels, &[], &settings(Method::Majority, 1)), Err(AggregateError::Nobody { .. })));
        // One category alone.
        assert_eq!(aggregate(&labels, &[0], &settings(Method::DawidSkene, 1)).unwrap().items[0].value, json!("good"));
    }
}
